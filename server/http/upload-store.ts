import { createHash, type Hash } from 'node:crypto';
import { open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { FileStore } from '@tus/file-store';
import type { Upload } from '@tus/utils';
import { EVERYONE } from '../access/principal.js';
import { RequestError } from '../contract/errors.js';
import type { Reservation, StoredItem, Transfers } from './transfers.js';
import { UploadRecords } from './upload-records.js';

/** Ids of uploads, as tus names them: a file `ID`, and `ID.json` beside it. */
export const UPLOAD_ID = /^[0-9a-f]{32}$/;
/** Stored uploads at a time, complete or not. */
export const MAX_UPLOADS = 1000;
/** Stored uploads of one owner at a time. */
export const MAX_OWNER_UPLOADS = 250;

/**
 * tus's file store with owners: it also reserves disk space by the announced length, passes system errors through, and
 * expires an upload by the time of its last byte.
 */
export class UploadStore extends FileStore {
  /** The running SHA-256 of every upload that this process received all bytes of so far. */
  readonly #digests = new Map<string, { readonly hash: Hash; bytes: number }>();
  /** The disk space of every upload, by its id; null while it is being reserved. */
  readonly #reservations = new Map<string, { readonly owner: string; readonly space: Reservation | null }>();

  private constructor(
    private readonly folder: string,
    private readonly keepMs: number,
    private readonly transfers: Transfers,
    readonly records = new UploadRecords(folder),
  ) {
    super({ directory: folder, expirationPeriodInMilliseconds: keepMs, configstore: records });
  }

  /** Opens a folder with the uploads of an earlier server, which can be resumed: their disk space is reserved again. */
  static async open(folder: string, keepMs: number, transfers: Transfers): Promise<UploadStore> {
    const store = new UploadStore(folder, keepMs, transfers);
    for (const id of (await readdir(folder)).filter((name) => UPLOAD_ID.test(name))) {
      const upload = await store.getUpload(id).catch(() => null); // what cannot be read expires
      const remaining = upload?.size === undefined ? 0 : Math.max(0, upload.size - upload.offset);
      const { size: written } = await stat(join(folder, id)).catch(() => ({ size: 0 }));
      const item = await store.#itemOf(id);
      const space = transfers.assume(item, written, remaining);
      store.#reservations.set(id, { owner: item.owner, space });
    }
    return store;
  }

  override async create(upload: Upload): Promise<Upload> {
    if (this.#reservations.size >= MAX_UPLOADS)
      throw new RequestError('busy', `the server stores ${MAX_UPLOADS} uploads and accepts no more`);
    const owner = this.records.ownerOfNew(upload);
    const own = [...this.#reservations.values()].filter((each) => each.owner === owner).length;
    if (own >= MAX_OWNER_UPLOADS)
      throw new RequestError('busy', `you have ${own} uploads that no job has claimed: delete some of them`);
    this.#reservations.set(upload.id, { owner, space: null });
    try {
      const space = await this.transfers.reserve({ id: upload.id, owner }, upload.size ?? 0);
      this.#reservations.set(upload.id, { owner, space });
      this.#digests.set(upload.id, { hash: createHash('sha256'), bytes: 0 });
      return await super.create(upload);
    } catch (error) {
      await this.discard(upload.id);
      throw error;
    }
  }

  override async declareUploadLength(id: string, bytes: number): Promise<void> {
    const { offset } = await this.getUpload(id);
    const item = await this.#itemOf(id);
    const space = await this.transfers.reserve(item, Math.max(0, bytes - offset));
    this.#reservations.get(id)?.space?.release();
    this.#reservations.set(id, { owner: item.owner, space });
    await super.declareUploadLength(id, bytes);
  }

  override async write(readable: Readable, id: string, offset: number): Promise<number> {
    const reservation = this.#reservations.get(id)?.space ?? null;
    const digest = this.#digests.get(id);
    // A part of a chunk was written, and not hashed, if the disk failed in between.
    if (digest?.bytes !== offset) this.#digests.delete(id);
    const file = await open(join(this.folder, id), 'r+');
    let at = offset;
    try {
      // Not destroyed by an error of ours, which tus would take for an abort by the client.
      for await (const chunk of readable.iterator({ destroyOnReturn: false })) {
        await reservation?.take((chunk as Buffer).length);
        for (let from = 0; from < (chunk as Buffer).length; ) {
          const { bytesWritten } = await file.write(chunk as Buffer, from, undefined, at);
          from += bytesWritten;
          at += bytesWritten;
        }
        digest?.hash.update(chunk as Buffer);
        if (digest) digest.bytes = at;
      }
      return at;
    } finally {
      await file.close();
    }
  }

  /** The SHA-256 of a complete upload of `bytes`; null where not all of them came through this process. */
  digestOf(id: string, bytes: number): string | null {
    const digest = this.#digests.get(id);
    return digest?.bytes === bytes ? digest.hash.copy().digest('hex') : null;
  }

  /** Dates an upload by its last byte: tus expires it by that date. */
  override async getUpload(id: string): Promise<Upload> {
    const upload = await super.getUpload(id);
    upload.creation_date = (await stat(join(this.folder, id))).mtime.toISOString();
    return upload;
  }

  override async remove(id: string): Promise<void> {
    await super.remove(id);
    this.forget(id);
  }

  /** Counts an upload for a job, once its file is moved away. */
  handOver(id: string, job: StoredItem): void {
    this.#reservations.get(id)?.space?.release();
    this.transfers.handOver(id, job);
    this.#reservations.delete(id);
    this.#digests.delete(id);
  }

  /** Releases the disk space of an upload. */
  forget(id: string): void {
    this.#reservations.get(id)?.space?.release();
    this.transfers.forget(id);
    this.#reservations.delete(id);
    this.#digests.delete(id);
  }

  /** Removes the uploads that received no bytes for `keepMs`. One that cannot be read does not stop the others. */
  override async deleteExpired(onExpired: (id: string) => void = () => {}): Promise<number> {
    let count = 0;
    for (const name of await readdir(this.folder)) {
      const id = name.replace(/\.json$/, '');
      if (!UPLOAD_ID.test(id)) continue;
      // The date of the file where there is one: the description beside it is written only once.
      const file = await stat(join(this.folder, id)).catch(() => null);
      const { mtimeMs } =
        file ?? (await stat(join(this.folder, name)).catch(() => ({ mtimeMs: Date.now() })));
      if (Date.now() - mtimeMs <= this.keepMs) continue;
      await this.discard(id);
      onExpired(id);
      count++;
    }
    return count;
  }

  async #itemOf(id: string): Promise<StoredItem> {
    return { id, owner: (await this.records.ownerOf(id)) ?? EVERYONE };
  }

  private async discard(id: string): Promise<void> {
    this.forget(id);
    for (const name of [id, `${id}.json`]) await rm(join(this.folder, name), { force: true });
  }
}
