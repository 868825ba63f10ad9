import { open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { FileStore } from '@tus/file-store';
import type { Upload } from '@tus/utils';
import { RequestError } from '../contract/errors.js';
import type { Room, Transfers } from './transfers.js';

/** What tus names uploads: the file, and `ID.json` beside it. */
export const UPLOAD_ID = /^[0-9a-f]{32}$/;
/** Uploads that are kept at a time, complete or not. */
const MOST_UPLOADS = 1000;

/**
 * tus's store of files, with room reserved for what each upload says that it will be, errors of the
 * system as they are, and an age that counts from the last byte.
 */
export class UploadStore extends FileStore {
  /** By id, of every upload that is kept; null where its length is not known. */
  readonly #rooms = new Map<string, Room | null>();

  private constructor(
    private readonly folder: string,
    private readonly keepMs: number,
    private readonly transfers: Transfers,
  ) {
    super({ directory: folder, expirationPeriodInMilliseconds: keepMs });
  }

  /** Uploads of the server before are gone on with, and have the room that it promised. */
  static async open(folder: string, keepMs: number, transfers: Transfers): Promise<UploadStore> {
    const store = new UploadStore(folder, keepMs, transfers);
    for (const id of (await readdir(folder)).filter((name) => UPLOAD_ID.test(name))) {
      const upload = await store.getUpload(id).catch(() => null); // what cannot be read expires
      const left = upload?.size === undefined ? 0 : upload.size - upload.offset;
      store.#rooms.set(id, transfers.assume(Math.max(0, left)));
    }
    return store;
  }

  override async create(upload: Upload): Promise<Upload> {
    if (this.#rooms.size >= MOST_UPLOADS)
      throw new RequestError('busy', `${MOST_UPLOADS} uploads are kept, as many as the server takes`);
    this.#rooms.set(upload.id, null);
    try {
      this.#rooms.set(upload.id, await this.transfers.reserve(upload.size ?? 0));
      return await super.create(upload);
    } catch (error) {
      await this.discard(upload.id);
      throw error;
    }
  }

  override async declareUploadLength(id: string, bytes: number): Promise<void> {
    const { offset } = await this.getUpload(id);
    const room = await this.transfers.reserve(Math.max(0, bytes - offset));
    this.#rooms.get(id)?.release();
    this.#rooms.set(id, room);
    await super.declareUploadLength(id, bytes);
  }

  override async write(readable: Readable, id: string, offset: number): Promise<number> {
    const room = this.#rooms.get(id) ?? null;
    const file = await open(join(this.folder, id), 'r+');
    let at = offset;
    try {
      for await (const chunk of readable) {
        await room?.take((chunk as Buffer).length);
        for (let from = 0; from < (chunk as Buffer).length; ) {
          const { bytesWritten } = await file.write(chunk as Buffer, from, undefined, at);
          from += bytesWritten;
          at += bytesWritten;
        }
      }
      return at;
    } finally {
      await file.close();
    }
  }

  /** Its date is that of its last byte: tus counts an upload's age from it. */
  override async getUpload(id: string): Promise<Upload> {
    const upload = await super.getUpload(id);
    upload.creation_date = (await stat(join(this.folder, id))).mtime.toISOString();
    return upload;
  }

  override async remove(id: string): Promise<void> {
    await super.remove(id);
    this.forget(id);
  }

  /** To be called when an upload's file has gone elsewhere. */
  forget(id: string): void {
    this.#rooms.get(id)?.release();
    this.#rooms.delete(id);
  }

  /** Removes what nobody went on with for so long. What cannot be read does not keep others from it. */
  override async deleteExpired(): Promise<number> {
    let count = 0;
    for (const name of await readdir(this.folder)) {
      const id = name.replace(/\.json$/, '');
      if (!UPLOAD_ID.test(id)) continue;
      // The file's own date, where there is one: its description is written once.
      const file = await stat(join(this.folder, id)).catch(() => null);
      const { mtimeMs } =
        file ?? (await stat(join(this.folder, name)).catch(() => ({ mtimeMs: Date.now() })));
      if (Date.now() - mtimeMs <= this.keepMs) continue;
      await this.discard(id);
      count++;
    }
    return count;
  }

  private async discard(id: string): Promise<void> {
    this.forget(id);
    for (const name of [id, `${id}.json`]) await rm(join(this.folder, name), { force: true });
  }
}
