/** The types that are written, by their numbers (TIFF 6.0; BigTIFF adds LONG8 and IFD8). */
export const ASCII = 2;
export const SHORT = 3;
export const LONG = 4;
export const RATIONAL = 5;
export const LONG8 = 16;
export const IFD8 = 18;
const TYPE_BYTES: Record<number, number> = {
  [ASCII]: 1,
  [SHORT]: 2,
  [LONG]: 4,
  [RATIONAL]: 8,
  [LONG8]: 8,
  [IFD8]: 8,
};

/** One tag of a directory. */
export interface Tag {
  readonly id: number;
  readonly type: number;
  readonly values: readonly number[] | string;
}

/** The bytes of a BigTIFF's header. */
export const BIG_TIFF_HEADER_BYTES = 16;

/** The header of a BigTIFF. */
export function bigTiffHeader(directoryPosition: number): Buffer {
  const header = Buffer.alloc(BIG_TIFF_HEADER_BYTES);
  header.write('II', 0, 'latin1');
  header.writeUInt16LE(43, 2); // BigTIFF
  header.writeUInt16LE(8, 4); // bytes of an offset
  header.writeBigUInt64LE(BigInt(directoryPosition), 8);
  return header;
}

/**
 * Encodes a BigTIFF directory, followed by the values that do not fit into it.
 * @param position where it will be written
 * @param hasNext whether the next directory follows it directly
 */
export function bigTiffDirectory(tags: readonly Tag[], position: number, hasNext = false): Buffer {
  const entries = Buffer.alloc(8 + 20 * tags.length + 8);
  entries.writeBigUInt64LE(BigInt(tags.length), 0);
  const overflow: Buffer[] = [];
  let end = position + entries.length;
  for (const [i, { id, type, values }] of [...tags].sort((a, b) => a.id - b.id).entries()) {
    const at = 8 + 20 * i;
    const bytes = typeof values === 'string' ? Buffer.from(`${values}\0`, 'utf8') : numbers(type, values);
    entries.writeUInt16LE(id, at);
    entries.writeUInt16LE(type, at + 2);
    entries.writeBigUInt64LE(BigInt(bytes.length / TYPE_BYTES[type]!), at + 4);
    if (bytes.length <= 8) {
      entries.set(bytes, at + 12);
    } else {
      entries.writeBigUInt64LE(BigInt(end), at + 12);
      overflow.push(bytes);
      end += bytes.length;
    }
  }
  if (hasNext) entries.writeBigUInt64LE(BigInt(end), entries.length - 8);
  return Buffer.concat([entries, ...overflow]);
}

/** The bytes of a position in the file. */
export function bigTiffPosition(position: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(position));
  return bytes;
}

/** Where a directory of so many tags has the position of the next one: 8 bytes. */
export const nextDirectoryAt = (position: number, tags: number): number => position + 8 + 20 * tags;

function numbers(type: number, values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(TYPE_BYTES[type]! * values.length);
  for (const [i, value] of values.entries()) {
    if (type === SHORT) bytes.writeUInt16LE(value, 2 * i);
    else if (type === LONG) bytes.writeUInt32LE(value, 4 * i);
    else if (type === RATIONAL) {
      const [numerator, denominator] = rational(value);
      bytes.writeUInt32LE(numerator, 8 * i);
      bytes.writeUInt32LE(denominator, 8 * i + 4);
    } else bytes.writeBigUInt64LE(BigInt(value), 8 * i);
  }
  return bytes;
}

/** The fraction of two 32-bit integers nearest to a positive number, by continued fractions. */
export function rational(value: number): [number, number] {
  let [n0, d0, n1, d1] = [0, 1, 1, 0];
  for (let rest = value; ; ) {
    const whole = Math.floor(rest);
    const [n2, d2] = [whole * n1 + n0, whole * d1 + d0];
    if (n2 > 0xffffffff || d2 > 0xffffffff) return d1 === 0 ? [0xffffffff, 1] : [n1, d1];
    [n0, d0, n1, d1] = [n1, d1, n2, d2];
    if (rest === whole || n1 / d1 === value) return [n1, d1];
    rest = 1 / (rest - whole);
  }
}
