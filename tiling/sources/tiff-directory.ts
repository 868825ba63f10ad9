import type { FileHandle } from 'node:fs/promises';
import { CorruptImageError } from '../errors.js';

/** Bytes of a value of each TIFF type, by the type's number. */
const TYPE_BYTES: Record<number, number> = {
  ...{ 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4 },
  ...{ 16: 8, 17: 8, 18: 8 },
};
const MAX_TAGS = 4096;

/**
 * Checks that all values of a TIFF's first directory lie inside the file, before anything is made of
 * their counts: a few wrong bytes could otherwise ask for gigabytes, or be read as zeros.
 *
 * @throws CorruptImageError naming the tag
 */
export async function checkDirectory(file: FileHandle, fileBytes: number): Promise<void> {
  const at = async (position: number, length: number): Promise<Buffer> => {
    if (!(position >= 8 && position + length <= fileBytes)) {
      throw new CorruptImageError(
        `the TIFF is cut short: its directory lies behind its end (${fileBytes} bytes)`,
      );
    }
    const bytes = Buffer.alloc(length);
    await file.read(bytes, 0, length, position);
    return bytes;
  };
  const head = Buffer.alloc(16);
  await file.read(head, 0, 16, 0);
  const big = head.toString('latin1', 0, 2) === 'MM';
  const u16 = (b: Buffer, i: number) => (big ? b.readUInt16BE(i) : b.readUInt16LE(i));
  const u32 = (b: Buffer, i: number) => (big ? b.readUInt32BE(i) : b.readUInt32LE(i));
  const u64 = (b: Buffer, i: number) => Number(big ? b.readBigUInt64BE(i) : b.readBigUInt64LE(i));
  const wide = u16(head, 2) === 43; // BigTIFF
  const word = wide ? u64 : u32;

  const start = word(head, wide ? 8 : 4);
  const countBytes = wide ? 8 : 2;
  const tags = (wide ? u64 : u16)(await at(start, countBytes), 0);
  if (tags > MAX_TAGS) throw new CorruptImageError(`the TIFF's directory claims ${tags} tags`);
  const entryBytes = wide ? 20 : 12;
  const inline = wide ? 8 : 4;
  const entries = await at(start + countBytes, tags * entryBytes);
  for (let i = 0; i < tags; i++) {
    const entry = i * entryBytes;
    const bytes = word(entries, entry + 4) * (TYPE_BYTES[u16(entries, entry + 2)] ?? 0);
    const offset = word(entries, entry + entryBytes - inline);
    if (bytes > inline && offset + bytes > fileBytes) {
      throw new CorruptImageError(
        `the TIFF is cut short, or damaged: tag ${u16(entries, entry)} claims ${bytes} bytes at ${offset} of ${fileBytes}`,
      );
    }
  }
}
