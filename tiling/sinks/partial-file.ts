import { type FileHandle, open, rename, rm } from 'node:fs/promises';

/** A file that appears under its name only when it is complete: it is written as `NAME.partial`, then renamed. */
export class PartialFile {
  #position = 0;

  private constructor(
    private readonly path: string,
    readonly handle: FileHandle,
  ) {}

  static async create(path: string): Promise<PartialFile> {
    return new PartialFile(path, await open(`${path}.partial`, 'w+'));
  }

  /** Writes a whole file. On failure nothing is left of it. */
  static async write(path: string, bytes: Uint8Array): Promise<void> {
    const file = await PartialFile.create(path);
    try {
      await file.append(bytes);
      await file.commit();
    } catch (error) {
      await file.discard();
      throw error;
    }
  }

  /** Bytes appended so far. */
  get position(): number {
    return this.#position;
  }

  async append(bytes: Uint8Array): Promise<void> {
    await this.writeAt(bytes, this.#position);
    this.#position += bytes.byteLength;
  }

  async writeAt(bytes: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < bytes.byteLength) {
      const { bytesWritten } = await this.handle.write(bytes, done, bytes.byteLength - done, position + done);
      done += bytesWritten;
    }
  }

  async commit(): Promise<void> {
    await this.handle.close();
    await rename(`${this.path}.partial`, this.path);
  }

  async discard(): Promise<void> {
    await this.handle.close().catch(() => undefined);
    await rm(`${this.path}.partial`, { force: true });
  }
}
