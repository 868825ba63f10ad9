import type { Caller } from './caller.js';
import { ProblemError } from './problem.js';
import { Retries } from './retry.js';

export interface UploadOptions {
  /** The name of the file, which the job shows. */
  readonly name?: string;
  readonly signal?: AbortSignal;
  /** Called with the bytes that the server has, after each part. */
  readonly onProgress?: (bytes: number) => void;
  /** Bytes of a request: what a broken connection costs at most. Default 8 MiB. */
  readonly partBytes?: number;
  /** Address of an interrupted upload of the same file, which is continued. */
  readonly resume?: string;
}

const TUS = { 'Tus-Resumable': '1.0.0' };
const PART_BYTES = 8 << 20;

/** Resumable uploads, by the tus protocol. */
export class Uploads {
  constructor(private readonly caller: Caller) {}

  /**
   * Uploads a file; after a broken connection it goes on where the server's bytes end. What is left of an upload that
   * fails is resumed by its address, or removed by the server in time.
   * @param file in Node.js, `await fs.openAsBlob(path)` reads it as it is sent
   * @returns the address, for `jobs.create({ source: { upload } })`
   * @throws ProblemError
   */
  async send(file: Blob, options: UploadOptions = {}): Promise<string> {
    const { signal, onProgress, partBytes = PART_BYTES } = options;
    const address = options.resume ?? (await this.create(file, options));
    let offset = options.resume === undefined ? 0 : await this.received(address, signal);
    const retries = new Retries();
    while (offset < file.size) {
      try {
        const response = await this.caller.sendTo('patch', address, {
          headers: {
            ...TUS,
            'Upload-Offset': String(offset),
            'Content-Type': 'application/offset+octet-stream',
          },
          body: file.slice(offset, offset + partBytes),
          ...(signal && { signal }),
        });
        offset = Number(response.headers.get('Upload-Offset'));
        retries.succeed();
      } catch (error) {
        // Conflict: the server has more bytes than it reported, from a part whose response was lost.
        const isOffset = error instanceof ProblemError && error.code === 'conflict';
        await retries.wait(isOffset ? new TypeError(error.message, { cause: error }) : error, signal);
        offset = await this.received(address, signal).catch(() => offset);
      }
      onProgress?.(offset);
    }
    return address;
  }

  /** Creates an upload, of which nothing is sent yet; returns its address. */
  async create(file: Pick<Blob, 'size'>, { name, signal }: UploadOptions = {}): Promise<string> {
    const { headers } = await this.caller.send('post /v1/uploads', {
      headers: {
        ...TUS,
        'Upload-Length': String(file.size),
        ...(name !== undefined && { 'Upload-Metadata': `filename ${base64(name)}` }),
      },
      ...(signal && { signal }),
    });
    return headers.get('Location')!;
  }

  /** The bytes of an upload that the server has. */
  async received(address: string, signal?: AbortSignal): Promise<number> {
    const response = await this.caller.sendTo('head', address, { headers: TUS, ...(signal && { signal }) });
    return Number(response.headers.get('Upload-Offset'));
  }

  async delete(address: string): Promise<void> {
    await this.caller.sendTo('delete', address, { headers: TUS });
  }
}

const base64 = (text: string): string => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
