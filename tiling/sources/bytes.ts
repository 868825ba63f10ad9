import { open } from 'node:fs/promises';
import { CorruptImageError } from '../errors.js';

/** Random access to the bytes of a file, local or remote. */
export interface Bytes {
  readonly length: number;
  /**
   * Reads exactly `length` bytes at `offset`.
   * @throws CorruptImageError where there are fewer
   */
  read(offset: number, length: number): Promise<Buffer>;
  close(): Promise<void>;
}

/** Opens a local file. */
export async function fileBytes(path: string): Promise<Bytes> {
  const file = await open(path);
  const { size } = await file.stat();
  return {
    length: size,
    async read(offset, length) {
      const bytes = Buffer.allocUnsafeSlow(length); // not from Node's pool, which a cached slice would keep in memory
      const { bytesRead } = await file.read(bytes, 0, length, offset);
      if (bytesRead < length) {
        throw new CorruptImageError(`the file is truncated: ${length} bytes at ${offset} of ${size}`);
      }
      return bytes;
    },
    close: () => file.close(),
  };
}
