import { FileConfigstore } from '@tus/file-store';
import type { Upload } from '@tus/utils';
import { z } from 'zod';
import { EVERYONE } from '../access/principal.js';

/** What is written beside an upload, as far as it is read back. */
const recordSchema = z.looseObject({
  id: z.string(),
  size: z.int().min(0).optional(),
  metadata: z.record(z.string(), z.string().nullable()).optional(),
  /** Whose upload it is, `Principal.id`. Earlier versions did not write it. */
  owner: z.string().default(EVERYONE),
});

/** tus's records of uploads, `ID.json` beside each file, with whose they are. Clients can neither set nor see that. */
export class UploadRecords extends FileConfigstore {
  /** Of uploads that are being created. */
  readonly #owners = new WeakMap<object, string>();

  /** Says whose an upload is, before it is written. */
  setOwner(upload: Upload, owner: string): void {
    this.#owners.set(upload, owner);
  }

  /** Whose an upload is that is not written yet. */
  ownerOfNew(upload: Upload): string {
    return this.#owners.get(upload) ?? EVERYONE;
  }

  /** Whose an upload is; null where there is none. */
  async ownerOf(id: string): Promise<string | null> {
    const record = recordSchema.safeParse(await super.get(id));
    return record.success ? record.data.owner : null;
  }

  /** A record that is invalid, is none. */
  override async get(id: string): Promise<Upload | undefined> {
    const record = recordSchema.safeParse(await super.get(id));
    return record.success ? (record.data as unknown as Upload) : undefined;
  }

  override async set(id: string, upload: Upload): Promise<void> {
    const { owner = this.#owners.get(upload) } = upload as Upload & { readonly owner?: string };
    await super.set(id, { ...upload, ...(owner !== undefined && { owner }) } as Upload);
  }
}
