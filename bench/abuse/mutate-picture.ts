import { crc32, deflateSync, inflateSync } from 'node:zlib';
import { agrees, flipBytes, type Mutate, type Mutation, ODD_NUMBERS, refused } from './mutation.js';
import type { Random } from './random.js';
import type { Format, Seed } from './seeds.js';

/** Breaks a PNG, JPEG, WebP, GIF or AVIF in one place. */
export const mutatePicture: Mutate = (seed, random) => {
  if (random.chance(0.08)) return breakMagic(seed, random);
  return OF_FORMAT[seed.format as Exclude<Format, 'tiff'>](seed, random);
};

const MAGIC: Record<Format, number> = { tiff: 4, png: 8, jpeg: 3, webp: 12, gif: 6, avif: 12 };

function breakMagic({ bytes, format }: Seed, random: Random): Mutation {
  const changed = Buffer.from(bytes);
  const at = random.below(format === 'avif' ? 4 : MAGIC[format]) + (format === 'avif' ? 4 : 0);
  // The four bytes of RIFF's size, and GIF's version, are no magic.
  const odd = (format === 'webp' && at >= 4 && at < 8) || (format === 'gif' && at === 4);
  changed[at]! ^= random.between(1, 255);
  return (odd ? agrees : refused)(`magic: byte ${at}`, changed);
}

function anywhere({ bytes }: Seed, random: Random, start = 0): Mutation {
  const { what, bytes: changed } = flipBytes(bytes, start, bytes.length, random);
  return agrees(what, changed);
}

function truncated({ bytes }: Seed, random: Random, needed: number): Mutation {
  const stop = random.chance(0.3) ? bytes.length - random.between(1, 40) : random.below(bytes.length);
  return (stop < needed ? refused : agrees)(
    `cut to ${stop} of ${bytes.length} bytes`,
    bytes.subarray(0, stop),
  );
}

interface Chunk {
  readonly type: string;
  readonly data: Buffer;
}

/** The chunks of a PNG (PNG specification, section 5). */
function pngChunks(bytes: Buffer): Chunk[] {
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

function pngOf(chunks: readonly Chunk[]): Buffer {
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

function mutatePng(seed: Seed, random: Random): Mutation {
  const { bytes } = seed;
  const chunks = pngChunks(bytes);
  const first = (type: string) => chunks.findIndex((chunk) => chunk.type === type);
  const lastData =
    bytes.lastIndexOf('IDAT') + 4 + chunks.findLast(({ type }) => type === 'IDAT')!.data.length;
  const changed = (index: number, data: Buffer) =>
    chunks.map((chunk, i) => (i === index ? { ...chunk, data } : chunk));
  switch (random.below(8)) {
    case 0: // the last bytes of zlib's data are its checksum, and before it at most some bits
      return truncated(seed, random, lastData - 8);
    case 1:
      return anywhere(seed, random, 8);
    case 2: {
      // A header that is sound by its checksum, and claims another size.
      const header = Buffer.from(chunks[0]!.data);
      const at = random.pick([0, 4]);
      const old = header.readUInt32BE(at);
      const value = random.chance(0.5) ? random.pick(ODD_NUMBERS) : Math.max(0, old + random.between(-9, 9));
      header.writeUInt32BE(value, at);
      const interlaced = header[12] === 1;
      // Another width shifts rows against their filters; fewer rows are there. Passes are arranged by both.
      const lost = value === 0 || value > old || (interlaced && value !== old);
      const what = `${at === 0 ? 'width' : 'height'} ${value}, not ${old}`;
      return (lost && !(interlaced && value < old && value > 0) ? refused : agrees)(
        what,
        pngOf(changed(0, header)),
      );
    }
    case 3: {
      const header = Buffer.from(chunks[0]!.data);
      const at = random.between(8, 12);
      header[at] = random.pick([0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 255]);
      const invalid = (at === 10 || at === 11) && header[at]! > 0;
      return (invalid ? refused : agrees)(`IHDR byte ${at} is ${header[at]}`, pngOf(changed(0, header)));
    }
    case 4: {
      const gone = random.below(chunks.length);
      const { type } = chunks[gone]!;
      const lost =
        type === 'IHDR' ||
        type === 'PLTE' ||
        (type === 'IDAT' && chunks.filter((c) => c.type === 'IDAT').length === 1);
      return (lost ? refused : agrees)(`without ${type}`, pngOf(chunks.filter((_, i) => i !== gone)));
    }
    case 5: {
      // A chunk's length: what follows it is no chunk.
      const at = bytes.indexOf(random.pick(chunks).type) - 4;
      const copy = Buffer.from(bytes);
      const old = copy.readUInt32BE(at);
      const value = random.pick([old + 1, old + 13, 0x7fff_ffff, 0xffff_ffff, Math.max(0, old - 1)]);
      copy.writeUInt32BE(value, at);
      const lost = at < bytes.lastIndexOf('IDAT') && value !== old;
      return (lost ? refused : agrees)(`a chunk at ${at} of ${value} bytes, not ${old}`, copy);
    }
    case 6: {
      // Other rows, well packed: filters that do not exist are errors, others are other pixels.
      const at = first('IDAT');
      const raw = inflateSync(
        Buffer.concat(chunks.filter(({ type }) => type === 'IDAT').map(({ data }) => data)),
      );
      const { what, bytes: rows } = flipBytes(raw, 0, raw.length, random);
      const packed = chunks.filter(({ type }, i) => type !== 'IDAT' || i === at);
      const index = packed.findIndex(({ type }) => type === 'IDAT');
      return agrees(
        `rows: ${what}`,
        pngOf(packed.map((chunk, i) => (i === index ? { ...chunk, data: deflateSync(rows) } : chunk))),
      );
    }
    default: {
      const text = {
        type: random.pick(['tEXt', 'zTXt', 'iTXt', 'eXIf', 'gAMA', 'pHYs', 'iCCP', 'tIME']),
        data: random.bytes(random.between(0, 60)),
      };
      return agrees(`with ${text.type}`, pngOf([chunks[0]!, text, ...chunks.slice(1)]));
    }
  }
}

/** Where each marker segment of a JPEG's header begins, up to the first scan. */
function jpegSegments(bytes: Buffer): { marker: number; at: number; length: number }[] {
  const segments = [];
  for (let at = 2; bytes[at] === 0xff && bytes[at + 1] !== 0xda; ) {
    const length = bytes.readUInt16BE(at + 2);
    segments.push({ marker: bytes[at + 1]!, at, length });
    at += 2 + length;
  }
  return segments;
}

function mutateJpeg(seed: Seed, random: Random): Mutation {
  const { bytes } = seed;
  const segments = jpegSegments(bytes);
  const frame = segments.find(({ marker }) => marker >= 0xc0 && marker <= 0xc2)!;
  const copy = Buffer.from(bytes);
  switch (random.below(7)) {
    case 0: // the last bytes are the end's marker, and what fills up the last block's bits
      return truncated(seed, random, bytes.length - 8);
    case 1:
      return anywhere(seed, random, 3);
    case 2: {
      const start = segments.at(-1)!.at + segments.at(-1)!.length + 2;
      return anywhere(seed, random, start);
    }
    case 3: {
      const at = frame.at + random.pick([5, 7]);
      const old = copy.readUInt16BE(at);
      const value = random.chance(0.5)
        ? random.pick(ODD_NUMBERS) & 0xffff
        : Math.max(0, old + random.between(-20, 40));
      copy.writeUInt16BE(value, at);
      // Within the last blocks, of 16 px at most, a size may change.
      const lost = value === 0 || value > Math.ceil(old / 8) * 8 + 16;
      return (lost ? refused : agrees)(
        `${at === frame.at + 5 ? 'height' : 'width'} ${value}, not ${old}`,
        copy,
      );
    }
    case 4: {
      const at = frame.at + random.pick([4, 9, 10, 11, 12]);
      copy[at] = random.pick([0, 1, 2, 3, 4, 5, 8, 12, 16, 0x11, 0x22, 0x41, 255]);
      const lost = at === frame.at + 9 && copy[at] !== bytes[at];
      return (lost ? refused : agrees)(`frame byte ${at - frame.at} is ${copy[at]}`, copy);
    }
    case 5: {
      const gone = random.pick(segments);
      const lost = gone.marker === 0xdb && segments.filter(({ marker }) => marker === 0xdb).length === 1;
      const rest = Buffer.concat([bytes.subarray(0, gone.at), bytes.subarray(gone.at + 2 + gone.length)]);
      const frameLost = gone === frame;
      return (lost || frameLost ? refused : agrees)(`without the segment ${gone.marker.toString(16)}`, rest);
    }
    default: {
      const segment = random.pick(segments);
      const value = random.pick([0, 1, 2, segment.length - 1, segment.length + 1, 0xffff]);
      copy.writeUInt16BE(value, segment.at + 2);
      const lost = value < 2 || (segment === frame && value !== segment.length);
      return (lost ? refused : agrees)(`a segment ${segment.marker.toString(16)} of ${value} bytes`, copy);
    }
  }
}

function mutateWebp(seed: Seed, random: Random): Mutation {
  const { bytes } = seed;
  const copy = Buffer.from(bytes);
  switch (random.below(5)) {
    case 0: // RIFF's size says how long the file is
      return truncated(seed, random, bytes.length - 4);
    case 1:
      return anywhere(seed, random, 12);
    case 2:
      return anywhere(seed, random, 30);
    case 3: {
      const value = random.pick([...ODD_NUMBERS, bytes.length - 9, bytes.length + 92]);
      copy.writeUInt32LE(value, 4);
      return (value > bytes.length ? refused : agrees)(`a RIFF of ${value} bytes`, copy);
    }
    default: {
      const value = random.pick(ODD_NUMBERS);
      copy.writeUInt32LE(value, 16);
      return (value > bytes.length ? refused : agrees)(`a chunk of ${value} bytes`, copy);
    }
  }
}

function mutateGif(seed: Seed, random: Random): Mutation {
  const { bytes } = seed;
  const copy = Buffer.from(bytes);
  const colours = bytes[10]! & 0x80 ? 3 * 2 ** ((bytes[10]! & 7) + 1) : 0;
  const animated = seed.name.includes('animated');
  switch (random.below(4)) {
    case 0: // of an animation the first picture is read, wherever it ends
      return truncated(seed, random, animated ? 13 + colours + 20 : bytes.length - 4);
    case 1:
      return anywhere(seed, random, 6);
    case 2:
      return anywhere(seed, random, 13 + colours);
    default: {
      const at = random.pick([6, 8]);
      const value = random.pick([0, 1, 7, 0x7fff, 0xffff]);
      copy.writeUInt16LE(value, at);
      return agrees(`${at === 6 ? 'width' : 'height'} ${value}`, copy);
    }
  }
}

function mutateAvif(seed: Seed, random: Random): Mutation {
  const { bytes } = seed;
  const copy = Buffer.from(bytes);
  const data = bytes.indexOf('mdat');
  switch (random.below(5)) {
    case 0:
      return truncated(seed, random, bytes.length - 1);
    case 1:
      return anywhere(seed, random, 12);
    case 2:
      return anywhere(seed, random, data + 4);
    case 3: {
      const box = bytes.indexOf(random.pick(['ftyp', 'meta', 'iloc', 'ispe', 'mdat', 'av1C', 'iprp'])) - 4;
      if (box < 0) return anywhere(seed, random, 12);
      const value = random.pick([...ODD_NUMBERS, copy.readUInt32BE(box) + 1]);
      copy.writeUInt32BE(value, box);
      return agrees(`a box at ${box} of ${value} bytes`, copy);
    }
    default: {
      const at = bytes.indexOf('ispe') + random.pick([8, 12]);
      const value = random.pick(ODD_NUMBERS);
      copy.writeUInt32BE(value, at);
      return (value === 0 ? refused : agrees)(`ispe says ${value}`, copy);
    }
  }
}

const OF_FORMAT = { png: mutatePng, jpeg: mutateJpeg, webp: mutateWebp, gif: mutateGif, avif: mutateAvif };
