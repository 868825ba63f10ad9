import { open } from 'node:fs/promises';
import { CorruptImageError } from '../errors.js';

/** The bytes of a file, near or far, in any order. */
export interface Bytes {
  readonly length: number;
  /**
   * Exactly `length` bytes from `offset` on.
   * @throws CorruptImageError where there are fewer
   */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Buffer>;
  close(): Promise<void>;
}

export async function fileBytes(path: string): Promise<Bytes> {
  const file = await open(path);
  const { size } = await file.stat();
  return {
    length: size,
    async read(offset, length) {
      const bytes = Buffer.allocUnsafeSlow(length); // not from the pool: it is kept, or handed over
      const { bytesRead } = await file.read(bytes, 0, length, offset);
      if (bytesRead < length) {
        throw new CorruptImageError(`the file is cut short: ${length} bytes at ${offset} of ${size}`);
      }
      return bytes;
    },
    close: () => file.close(),
  };
}
