import { crc32, deflateSync, inflateSync } from 'node:zlib';
import {
  agrees,
  flipAnywhere,
  flipBytes,
  type Mutation,
  ODD_NUMBERS,
  refused,
  truncate,
} from './mutation.js';
import type { Random } from './random.js';
import type { Seed } from './seeds.js';

interface Chunk {
  readonly type: string;
  readonly data: Buffer;
}

/** The chunks of a PNG (PNG specification, section 5). */
function parsePngChunks(bytes: Buffer): Chunk[] {
  const chunks: Chunk[] = [];
  for (let at = 8; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    chunks.push({
      type: bytes.toString('latin1', at + 4, at + 8),
      data: bytes.subarray(at + 8, at + 8 + length),
    });
    at += 12 + length;
  }
  return chunks;
}

/** A PNG of some chunks, with their lengths and checksums. */
function encodePng(chunks: readonly Chunk[]): Buffer {
  const parts = chunks.map(({ type, data }) => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const whole = Buffer.alloc(body.length + 8);
    whole.writeUInt32BE(data.length, 0);
    body.copy(whole, 4);
    whole.writeUInt32BE(crc32(body), body.length + 4);
    return whole;
  });
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), ...parts]);
}

/** Damages a PNG in one place; checksums are correct again where the damage is meant to reach the decoder. */
export function mutatePng(seed: Seed, random: Random): Mutation {
  const { bytes } = seed;
  const chunks = parsePngChunks(bytes);
  const first = (type: string) => chunks.findIndex((chunk) => chunk.type === type);
  const lastData =
    bytes.lastIndexOf('IDAT') + 4 + chunks.findLast(({ type }) => type === 'IDAT')!.data.length;
  const changed = (index: number, data: Buffer) =>
    chunks.map((chunk, i) => (i === index ? { ...chunk, data } : chunk));
  switch (random.below(8)) {
    case 0: // the last 8 bytes hold little but zlib's checksum
      return truncate(seed, random, lastData - 8);
    case 1:
      return flipAnywhere(seed, random, 8);
    case 2: {
      // A header with a correct checksum and another size.
      const header = Buffer.from(chunks[0]!.data);
      const at = random.pick([0, 4]);
      const old = header.readUInt32BE(at);
      const value = random.chance(0.5) ? random.pick(ODD_NUMBERS) : Math.max(0, old + random.between(-9, 9));
      header.writeUInt32BE(value, at);
      const interlaced = header[12] === 1;
      // A larger size lacks data; interlaced passes depend on both sides, so that any other size is suspect.
      const lost = value === 0 || value > old || (interlaced && value !== old);
      const what = `${at === 0 ? 'width' : 'height'} changed from ${old} to ${value}`;
      return (lost && !(interlaced && value < old && value > 0) ? refused : agrees)(
        what,
        encodePng(changed(0, header)),
      );
    }
    case 3: {
      const header = Buffer.from(chunks[0]!.data);
      const at = random.between(8, 12);
      header[at] = random.pick([0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 255]);
      const invalid = (at === 10 || at === 11) && header[at]! > 0;
      return (invalid ? refused : agrees)(
        `IHDR byte ${at} set to ${header[at]}`,
        encodePng(changed(0, header)),
      );
    }
    case 4: {
      const removed = random.below(chunks.length);
      const { type } = chunks[removed]!;
      const lost =
        type === 'IHDR' ||
        type === 'PLTE' ||
        (type === 'IDAT' && chunks.filter((c) => c.type === 'IDAT').length === 1);
      return (lost ? refused : agrees)(`${type} removed`, encodePng(chunks.filter((_, i) => i !== removed)));
    }
    case 5: {
      // Another length of a chunk, so that what follows it is not a chunk.
      const at = bytes.indexOf(random.pick(chunks).type) - 4;
      const copy = Buffer.from(bytes);
      const old = copy.readUInt32BE(at);
      const value = random.pick([old + 1, old + 13, 0x7fff_ffff, 0xffff_ffff, Math.max(0, old - 1)]);
      copy.writeUInt32BE(value, at);
      const lost = at < bytes.lastIndexOf('IDAT') && value !== old;
      return (lost ? refused : agrees)(`length of the chunk at ${at} changed from ${old} to ${value}`, copy);
    }
    case 6: {
      // Other filtered rows, compressed correctly: unknown filters are errors, the rest are other pixels.
      const at = first('IDAT');
      const raw = inflateSync(
        Buffer.concat(chunks.filter(({ type }) => type === 'IDAT').map(({ data }) => data)),
      );
      const { what, bytes: rows } = flipBytes(raw, 0, raw.length, random);
      const packed = chunks.filter(({ type }, i) => type !== 'IDAT' || i === at);
      const index = packed.findIndex(({ type }) => type === 'IDAT');
      return agrees(
        `rows: ${what}`,
        encodePng(packed.map((chunk, i) => (i === index ? { ...chunk, data: deflateSync(rows) } : chunk))),
      );
    }
    default: {
      const text = {
        type: random.pick(['tEXt', 'zTXt', 'iTXt', 'eXIf', 'gAMA', 'pHYs', 'iCCP', 'tIME']),
        data: random.bytes(random.between(0, 60)),
      };
      return agrees(`${text.type} inserted`, encodePng([chunks[0]!, text, ...chunks.slice(1)]));
    }
  }
}
