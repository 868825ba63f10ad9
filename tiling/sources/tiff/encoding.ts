/** Bytes per value of each TIFF type, by the type's number (TIFF 6.0, section 2; BigTIFF adds 16 to 18). */
const TYPE_BYTES: Readonly<Record<number, number>> = {
  1: 1, // BYTE
  2: 1, // ASCII
  3: 2, // SHORT
  4: 4, // LONG
  5: 8, // RATIONAL
  6: 1, // SBYTE
  7: 1, // UNDEFINED
  8: 2, // SSHORT
  9: 4, // SLONG
  10: 8, // SRATIONAL
  11: 4, // FLOAT
  12: 8, // DOUBLE
  13: 4, // IFD
  16: 8, // LONG8
  17: 8, // SLONG8
  18: 8, // IFD8
};

/** Unsigned integers: the types that may count something. */
export const UNSIGNED_TYPES: ReadonlySet<number> = new Set([1, 3, 4, 13, 16, 18]);
/** All integers: some programs write signed ones only. */
export const INTEGER_TYPES: ReadonlySet<number> = new Set([...UNSIGNED_TYPES, 6, 8, 9, 17]);

/** Bytes per value of a type; 0 for a type that is unknown. */
export const bytesPerValue = (type: number): number => TYPE_BYTES[type] ?? 0;

/** How a TIFF writes numbers: its byte order, and whether offsets are 64 bits wide (BigTIFF). */
export class Encoding {
  constructor(
    readonly bigEndian: boolean,
    readonly isBigTiff: boolean,
  ) {}

  u16(b: Buffer, at: number): number {
    return this.bigEndian ? b.readUInt16BE(at) : b.readUInt16LE(at);
  }

  u32(b: Buffer, at: number): number {
    return this.bigEndian ? b.readUInt32BE(at) : b.readUInt32LE(at);
  }

  u64(b: Buffer, at: number): number {
    return Number(this.bigEndian ? b.readBigUInt64BE(at) : b.readBigUInt64LE(at));
  }

  /** A count or an offset. */
  word(b: Buffer, at: number): number {
    return this.isBigTiff ? this.u64(b, at) : this.u32(b, at);
  }

  /** Decodes the values of one tag: rationals to quotients, and what is not a number to its bytes. */
  values(b: Buffer, type: number, count: number): Float64Array | Uint32Array | Uint16Array | Uint8Array {
    const view = new DataView(b.buffer, b.byteOffset, b.byteLength);
    const little = !this.bigEndian;
    const fill = <Values extends Float64Array | Uint32Array | Uint16Array>(
      values: Values,
      value: (at: number) => number,
    ) => {
      const step = bytesPerValue(type);
      for (let i = 0; i < count; i++) values[i] = value(i * step);
      return values;
    };
    const floats = (value: (at: number) => number) => fill(new Float64Array(count), value);
    switch (type) {
      case 3:
        return fill(new Uint16Array(count), (at) => view.getUint16(at, little));
      case 4:
      case 13:
        return fill(new Uint32Array(count), (at) => view.getUint32(at, little));
      case 5:
        return floats((at) => view.getUint32(at, little) / view.getUint32(at + 4, little));
      case 6:
        return floats((at) => view.getInt8(at));
      case 8:
        return floats((at) => view.getInt16(at, little));
      case 9:
        return floats((at) => view.getInt32(at, little));
      case 10:
        return floats((at) => view.getInt32(at, little) / view.getInt32(at + 4, little));
      case 11:
        return floats((at) => view.getFloat32(at, little));
      case 12:
        return floats((at) => view.getFloat64(at, little));
      case 16:
      case 18:
        return floats((at) => Number(view.getBigUint64(at, little)));
      case 17:
        return floats((at) => Number(view.getBigInt64(at, little)));
      default:
        return new Uint8Array(b);
    }
  }
}
