import { promisify } from 'node:util';
import { gunzip, inflate, type ZlibOptions } from 'node:zlib';
import * as zarr from 'zarrita';
import { CorruptImageError } from '../../errors.js';

/** What other codecs of a chain may add to a chunk: checksums, and headers of data compressed twice. */
const SLACK_BYTES = 4096;
/** Limit of a Zstandard block (RFC 8878, section 3.1.1.2.4). */
const ZSTD_BLOCK_BYTES = 128 << 10;
/** How many times smaller than that blocks are on average, at most, where the encoder splits them. */
const ZSTD_SPLIT_FACTOR = 8;
/** The blocks of a small chunk are far from full: what cannot decode to more than this is harmless. */
const ZSTD_HARMLESS_BYTES = 1 << 20;
const ZSTD_MAGIC = 0xfd2fb528;
/** The magic number of skippable frames, but for its last four bits. */
const ZSTD_SKIPPABLE = 0x184d2a5;

/** @throws CorruptImageError for a chunk that decodes to more than `most` bytes */
type Unpack = (stored: Uint8Array, most: number) => Promise<Uint8Array>;
interface ChunkMeta {
  readonly dataType: string;
  readonly shape: readonly number[];
}

const unzip =
  (of: (stored: Uint8Array, options: ZlibOptions) => Promise<Buffer>): Unpack =>
  (stored, most) =>
    of(stored, { maxOutputLength: most }).catch((cause: Error & { code?: string }) => {
      if (cause.code !== 'ERR_BUFFER_TOO_LARGE') throw cause;
      throw new CorruptImageError(`a chunk of the Zarr is larger than the ${most} bytes that it can hold`);
    });

/** The decoded size that a compressed chunk claims, by codec; NaN where it is truncated. */
const CLAIMS: Record<string, (stored: DataView) => number> = {
  blosc: (stored) => (stored.byteLength < 16 ? Number.NaN : stored.getUint32(4, true)),
  lz4: (stored) => (stored.byteLength < 4 ? Number.NaN : stored.getUint32(0, true)),
  zstd: zstdBytes,
};

/**
 * Replaces zarrita's codecs by ones that decode no more than a chunk can hold. Its own allocate whatever the data
 * claim: a hundred bytes could take gigabytes.
 */
export function boundCodecs(): void {
  for (const [name, unpack] of [
    ['gzip', unzip(promisify(gunzip) as never)],
    ['zlib', unzip(promisify(inflate) as never)],
  ] as const) {
    bound(name, async () => unpack);
  }
  for (const [name, claimed] of Object.entries(CLAIMS)) {
    const load = zarr.registry.get(name)!;
    bound(name, async (configuration, meta) => {
      const codec = (await load()).fromConfig(configuration as never, meta as never) as unknown as {
        decode(stored: Uint8Array): Promise<Uint8Array>;
      };
      return async (stored, most) => {
        const bytes = claimed(new DataView(stored.buffer, stored.byteOffset, stored.byteLength));
        if (!(bytes <= most)) {
          throw new CorruptImageError(`a chunk of the Zarr claims ${bytes} bytes; it can hold ${most}`);
        }
        return codec.decode(stored);
      };
    });
  }
}

function bound(name: string, unpackOf: (configuration: unknown, meta: ChunkMeta) => Promise<Unpack>): void {
  const entry = () => ({
    fromConfig(configuration: unknown, meta: ChunkMeta) {
      const unpack = unpackOf(configuration, meta);
      unpack.catch(() => undefined); // reported when a chunk is decoded
      const values = meta.shape.reduce((product, side) => product * side, 1);
      const most = values * valueBytes(meta.dataType) + SLACK_BYTES;
      return {
        kind: 'bytes_to_bytes' as const,
        encode: () => Promise.reject(new Error('chunks are only read')),
        decode: async (stored: Uint8Array) => (await unpack)(stored, most),
      };
    },
  });
  for (const known of [name, `numcodecs.${name}`]) zarr.registry.set(known, entry as never);
}

/** Bytes per value, by the number in a type's name, such as `uint16`; 8 where there is none. */
const valueBytes = (type: string): number => Number(/\d+$/.exec(type)?.[0] ?? 64) / 8;

/**
 * The decoded size that the frames of a Zstandard stream claim together (RFC 8878, section 3.1.1). The decoder
 * checks this only after it has decoded everything, so the blocks are added up, too.
 */
function zstdBytes(stored: DataView): number {
  let [claimed, unclaimed, most] = [0, 0, 0];
  try {
    for (let at = 0; at < stored.byteLength; ) {
      const magic = stored.getUint32(at, true);
      if (magic >>> 4 === ZSTD_SKIPPABLE) {
        at += 8 + stored.getUint32(at + 4, true);
        continue;
      }
      if (magic !== ZSTD_MAGIC) return Number.NaN;
      const frame = zstdFrame(stored, at + 4);
      if (frame.claimed === null) unclaimed += frame.most;
      else claimed += frame.claimed;
      most += frame.most;
      at = frame.end;
    }
  } catch {
    return Number.NaN; // truncated
  }
  if (most <= ZSTD_HARMLESS_BYTES) return claimed;
  return Math.max(claimed + unclaimed, most / ZSTD_SPLIT_FACTOR);
}

interface ZstdFrame {
  /** The claimed decoded size; null where there is none. */
  readonly claimed: number | null;
  /** What its blocks can decode to. */
  readonly most: number;
  /** Offset of what follows the frame. */
  readonly end: number;
}

function zstdFrame(stored: DataView, start: number): ZstdFrame {
  const flags = stored.getUint8(start);
  const single = (flags & 0x20) !== 0;
  const size = start + 1 + (single ? 0 : 1) + [0, 1, 2, 4][flags & 3]!;
  const sizeBytes = [single ? 1 : 0, 2, 4, 8][flags >> 6]!;
  const claims: Record<number, () => number | null> = {
    0: () => null,
    1: () => stored.getUint8(size),
    2: () => stored.getUint16(size, true) + 256,
    4: () => stored.getUint32(size, true),
    8: () => Number(stored.getBigUint64(size, true)),
  };
  let most = 0;
  for (let at = size + sizeBytes; ; ) {
    const header = stored.getUint16(at, true) | (stored.getUint8(at + 2) << 16);
    const [last, type, bytes] = [header & 1, (header >> 1) & 3, header >> 3];
    most += type === 2 ? ZSTD_BLOCK_BYTES : bytes;
    at += 3 + (type === 1 ? 1 : bytes);
    if (last) return { claimed: claims[sizeBytes]!(), most, end: at + (flags & 4) };
  }
}
