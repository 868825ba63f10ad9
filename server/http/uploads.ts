import { rename, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { maySee, type Principal } from '../access/principal.js';
import { RequestError } from '../contract/errors.js';
import { makeFolder } from '../storage/folders.js';
import { principalOf } from './principal.js';
import { withDisconnection } from './receive-image.js';
import type { StoredItem, Transfers } from './transfers.js';
import { TusServer } from './tus-server.js';
import { UPLOAD_ID, UploadStore } from './upload-store.js';

export interface CompleteUpload {
  readonly id: string;
  readonly file: string;
  readonly bytes: number;
  /** Of its bytes; null where an earlier server received some of them. */
  readonly sha256: string | null;
  /** The name that its client gave (`filename` in the upload's metadata); null without one. */
  readonly name: string | null;
  /** Moves the file to a path, for a job that has its bytes from then on; the upload no longer exists. */
  readonly take: (to: string, job: StoredItem) => Promise<void>;
}

export interface UploadsOptions {
  /** Where they are, created if missing. */
  readonly folder: string;
  /** The path of their route, such as `/v1/uploads`. */
  readonly path: string;
  /** The largest upload, in bytes. */
  readonly maxBytes: number;
  /** How long an upload is retained after its last byte, in ms. */
  readonly keepMs: number;
  /** The limits shared with plain uploads. */
  readonly transfers: Transfers;
  /** Whether what clients call their files is discarded. */
  readonly hidesNames: boolean;
}

/** Resumable uploads, by the tus protocol 1.0, in a folder. */
export class Uploads {
  readonly #store: UploadStore;
  readonly #server: TusServer;
  readonly #folder: string;
  readonly #transfers: Transfers;

  private constructor(store: UploadStore, { folder, path, maxBytes, transfers, hidesNames }: UploadsOptions) {
    this.#store = store;
    this.#folder = folder;
    this.#transfers = transfers;
    this.#server = new TusServer({
      path,
      datastore: store,
      hidesNames,
      maxSize: maxBytes,
      relativeLocation: true,
      allowedOrigins: () => false,
    });
  }

  /** Opens the folder of uploads, and reserves the disk space that those in it still need. */
  static async open(options: UploadsOptions): Promise<Uploads> {
    const { folder, keepMs, transfers } = options;
    await makeFolder(folder);
    return new Uploads(await UploadStore.open(folder, keepMs, transfers), options);
  }

  /**
   * Handles a request of the protocol; one with a body takes one of the places of `Transfers`.
   * @throws RequestError for a refused request
   */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const hasBody = request.method === 'PATCH' || request.method === 'POST';
    // tus waits for the end of its response, which one whose client has disconnected never has.
    const handle = () => Promise.race([this.#server.handle(request, response), untilClosed(response)]);
    try {
      await (hasBody ? this.#transfers.withPlace(principalOf(request).id, handle) : handle());
    } catch (error) {
      throw withDisconnection(request, error);
    }
  }

  /**
   * Finds a complete upload.
   * @param id its id, or its URL path
   * @throws RequestError `not-found`, also for those of other owners; `not-ready` if it is incomplete
   */
  async find(id: string, caller: Principal): Promise<CompleteUpload> {
    const key = id.slice(id.lastIndexOf('/') + 1);
    const owner = UPLOAD_ID.test(key) ? await this.#store.records.ownerOf(key) : null;
    const isVisible = owner !== null && maySee(caller, owner);
    const upload = isVisible ? await this.#store.getUpload(key).catch(() => null) : null;
    if (!upload) throw new RequestError('not-found', `there is no upload "${id}"`);
    if (upload.size === undefined || upload.offset < upload.size) {
      throw new RequestError('not-ready', `the upload has ${upload.offset} of ${upload.size ?? '?'} bytes`);
    }
    const file = join(this.#folder, key);
    return {
      id: key,
      file,
      bytes: upload.size,
      sha256: this.#store.digestOf(key, upload.size),
      name: upload.metadata?.filename ?? null,
      take: async (to, job) => {
        await rename(file, to);
        this.#store.handOver(key, job);
        await rm(`${file}.json`, { force: true });
      },
    };
  }

  /**
   * Removes the uploads that received no bytes for `keepMs`.
   * @param onExpired called with the id of each
   */
  async expire(onExpired: (id: string) => void): Promise<void> {
    await this.#store.deleteExpired(onExpired);
  }
}

/** Resolves when a response has been sent, or cannot be sent any more. */
function untilClosed(response: ServerResponse): Promise<void> {
  if (response.destroyed) return Promise.resolve();
  return new Promise((resolve) => response.once('close', resolve));
}
