import { rename, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { RequestError } from '../contract/errors.js';
import { makeFolder } from '../storage/folders.js';
import { Transfers } from './transfers.js';
import { TusServer } from './tus-server.js';
import { UPLOAD_ID, UploadStore } from './upload-store.js';

export interface CompleteUpload {
  readonly id: string;
  readonly file: string;
  readonly bytes: number;
  /** As its client called it (`filename` of the upload's metadata). */
  readonly name: string | null;
  readonly take: (to: string) => Promise<void>;
}

/** Uploads that are resumed where they broke off, by the tus protocol 1.0, in a folder. */
export class Uploads {
  readonly #store: UploadStore;
  readonly #server: TusServer;

  private constructor(
    private readonly folder: string,
    readonly path: string,
    maxBytes: number,
    store: UploadStore,
    private readonly transfers: Transfers,
  ) {
    this.#store = store;
    this.#server = new TusServer({
      path,
      datastore: this.#store,
      maxSize: maxBytes,
      relativeLocation: true,
      allowedOrigins: () => false,
    });
  }

  /**
   * @param path where the protocol is spoken
   * @param keepMs how long an upload that nobody goes on with is kept, after its last byte
   * @param transfers what they share with other uploads
   */
  static async open(
    folder: string,
    path: string,
    maxBytes: number,
    keepMs: number,
    transfers = new Transfers({ folder, places: 64, minFreeBytes: null }),
  ): Promise<Uploads> {
    await makeFolder(folder);
    const store = await UploadStore.open(folder, keepMs, transfers);
    return new Uploads(folder, path, maxBytes, store, transfers);
  }

  /** Answers a request of the protocol; one that brings bytes takes one of the places of `Transfers`. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const hasBody = request.method === 'PATCH' || request.method === 'POST';
    const handle = () => this.#server.handle(request, response);
    await (hasBody ? this.transfers.withPlace(handle) : handle());
  }

  /**
   * A complete upload; `take` moves it to where it is used, and it is an upload no more.
   * @param id its id, or its address
   * @throws RequestError `not-found`, `not-ready` for one that is not complete
   */
  async find(id: string): Promise<CompleteUpload> {
    const key = id.slice(id.lastIndexOf('/') + 1);
    const upload = UPLOAD_ID.test(key) ? await this.#store.getUpload(key).catch(() => null) : null;
    if (!upload) throw new RequestError('not-found', `there is no upload "${id}"`);
    if (upload.size === undefined || upload.offset < upload.size) {
      throw new RequestError('not-ready', `the upload has ${upload.offset} of ${upload.size ?? '?'} bytes`);
    }
    const file = join(this.folder, key);
    return {
      id: key,
      file,
      bytes: upload.size,
      name: upload.metadata?.filename ?? null,
      take: async (to) => {
        await rename(file, to);
        this.#store.forget(key);
        await rm(`${file}.json`, { force: true });
      },
    };
  }

  /** Removes the uploads that nobody went on with. */
  async expire(): Promise<void> {
    await this.#server.cleanUpExpiredUploads();
  }
}
