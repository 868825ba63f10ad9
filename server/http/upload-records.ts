import { FileConfigstore } from '@tus/file-store';
import type { Upload } from '@tus/utils';
import { z } from 'zod';
import { EVERYONE } from '../access/principal.js';

/** The record beside an upload, as far as it is read back. */
const recordSchema = z.looseObject({
  id: z.string(),
  size: z.int().min(0).optional(),
  metadata: z.record(z.string(), z.string().nullable()).optional(),
  /** Owner of the upload, `Principal.id`. Earlier versions did not write it. */
  owner: z.string().default(EVERYONE),
});

/** tus's records of uploads, `ID.json` beside each file, with their owners, which clients can neither set nor see. */
export class UploadRecords extends FileConfigstore {
  /** Owners of uploads that are being created. */
  readonly #owners = new WeakMap<object, string>();

  /** Sets the owner of an upload before it is written. */
  setOwner(upload: Upload, owner: string): void {
    this.#owners.set(upload, owner);
  }

  /** Owner of an upload that is not written yet. */
  ownerOfNew(upload: Upload): string {
    return this.#owners.get(upload) ?? EVERYONE;
  }

  /** Owner of an upload; null if it does not exist. */
  async ownerOf(id: string): Promise<string | null> {
    const record = recordSchema.safeParse(await super.get(id));
    return record.success ? record.data.owner : null;
  }

  /** Parses a record. An invalid one counts as missing. */
  override async get(id: string): Promise<Upload | undefined> {
    const record = recordSchema.safeParse(await super.get(id));
    return record.success ? (record.data as unknown as Upload) : undefined;
  }

  override async set(id: string, upload: Upload): Promise<void> {
    const { owner = this.#owners.get(upload) } = upload as Upload & { readonly owner?: string };
    await super.set(id, { ...upload, ...(owner !== undefined && { owner }) } as Upload);
  }
}
