import { mutatePng } from './mutate-png.js';
import {
  agrees,
  flipAnywhere,
  type Mutate,
  type Mutation,
  ODD_NUMBERS,
  refused,
  truncate,
} from './mutation.js';
import type { Random } from './random.js';
import type { Format, Seed } from './seeds.js';

/** Damages a PNG, JPEG, WebP, GIF or AVIF in one place. */
export const mutatePicture: Mutate = (seed, random) => {
  if (random.chance(0.08)) return breakMagic(seed, random);
  return MUTATORS[seed.format as Exclude<Format, 'tiff'>](seed, random);
};

/** How many bytes at the start of a file identify its format. */
const MAGIC_BYTES: Record<Format, number> = { tiff: 4, png: 8, jpeg: 3, webp: 12, gif: 6, avif: 12 };

function breakMagic({ bytes, format }: Seed, random: Random): Mutation {
  const changed = Buffer.from(bytes);
  const at = random.below(format === 'avif' ? 4 : MAGIC_BYTES[format]) + (format === 'avif' ? 4 : 0);
  // RIFF's size and GIF's version are not checked as magic.
  const isUnchecked = (format === 'webp' && at >= 4 && at < 8) || (format === 'gif' && at === 4);
  changed[at]! ^= random.between(1, 255);
  return (isUnchecked ? agrees : refused)(`magic: byte ${at}`, changed);
}

/** The marker segments of a JPEG up to the first scan: where each begins, and its length without the marker. */
function parseJpegSegments(bytes: Buffer): { marker: number; at: number; length: number }[] {
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
  const segments = parseJpegSegments(bytes);
  const frame = segments.find(({ marker }) => marker >= 0xc0 && marker <= 0xc2)!;
  const copy = Buffer.from(bytes);
  switch (random.below(7)) {
    case 0: // the last bytes are the end marker and padding of the last block
      return truncate(seed, random, bytes.length - 8);
    case 1:
      return flipAnywhere(seed, random, 3);
    case 2: {
      const start = segments.at(-1)!.at + segments.at(-1)!.length + 2;
      return flipAnywhere(seed, random, start);
    }
    case 3: {
      const at = frame.at + random.pick([5, 7]);
      const old = copy.readUInt16BE(at);
      const value = random.chance(0.5)
        ? random.pick(ODD_NUMBERS) & 0xffff
        : Math.max(0, old + random.between(-20, 40));
      copy.writeUInt16BE(value, at);
      // Data for up to 16 px more may exist, as the last blocks are padded.
      const lost = value === 0 || value > Math.ceil(old / 8) * 8 + 16;
      return (lost ? refused : agrees)(
        `${at === frame.at + 5 ? 'height' : 'width'} changed from ${old} to ${value}`,
        copy,
      );
    }
    case 4: {
      const at = frame.at + random.pick([4, 9, 10, 11, 12]);
      copy[at] = random.pick([0, 1, 2, 3, 4, 5, 8, 12, 16, 0x11, 0x22, 0x41, 255]);
      const lost = at === frame.at + 9 && copy[at] !== bytes[at];
      return (lost ? refused : agrees)(`frame byte ${at - frame.at} set to ${copy[at]}`, copy);
    }
    case 5: {
      const removed = random.pick(segments);
      const lost = removed.marker === 0xdb && segments.filter(({ marker }) => marker === 0xdb).length === 1;
      const rest = Buffer.concat([
        bytes.subarray(0, removed.at),
        bytes.subarray(removed.at + 2 + removed.length),
      ]);
      const isFrame = removed === frame;
      return (lost || isFrame ? refused : agrees)(`segment ${removed.marker.toString(16)} removed`, rest);
    }
    default: {
      const segment = random.pick(segments);
      const value = random.pick([0, 1, 2, segment.length - 1, segment.length + 1, 0xffff]);
      copy.writeUInt16BE(value, segment.at + 2);
      const lost = value < 2 || (segment === frame && value !== segment.length);
      return (lost ? refused : agrees)(
        `length of segment ${segment.marker.toString(16)} set to ${value}`,
        copy,
      );
    }
  }
}

function mutateWebp(seed: Seed, random: Random): Mutation {
  const { bytes } = seed;
  const copy = Buffer.from(bytes);
  switch (random.below(5)) {
    case 0: // RIFF's size reveals a truncated file
      return truncate(seed, random, bytes.length - 4);
    case 1:
      return flipAnywhere(seed, random, 12);
    case 2:
      return flipAnywhere(seed, random, 30);
    case 3: {
      const value = random.pick([...ODD_NUMBERS, bytes.length - 9, bytes.length + 92]);
      copy.writeUInt32LE(value, 4);
      return (value > bytes.length ? refused : agrees)(`RIFF size set to ${value}`, copy);
    }
    default: {
      const value = random.pick(ODD_NUMBERS);
      copy.writeUInt32LE(value, 16);
      return (value > bytes.length ? refused : agrees)(`chunk size set to ${value}`, copy);
    }
  }
}

function mutateGif(seed: Seed, random: Random): Mutation {
  const { bytes } = seed;
  const copy = Buffer.from(bytes);
  const colours = bytes[10]! & 0x80 ? 3 * 2 ** ((bytes[10]! & 7) + 1) : 0;
  const animated = seed.name.includes('animated');
  switch (random.below(4)) {
    case 0: // only the first frame of an animation is decoded
      return truncate(seed, random, animated ? 13 + colours + 20 : bytes.length - 4);
    case 1:
      return flipAnywhere(seed, random, 6);
    case 2:
      return flipAnywhere(seed, random, 13 + colours);
    default: {
      const at = random.pick([6, 8]);
      const value = random.pick([0, 1, 7, 0x7fff, 0xffff]);
      copy.writeUInt16LE(value, at);
      return agrees(`${at === 6 ? 'width' : 'height'} set to ${value}`, copy);
    }
  }
}

function mutateAvif(seed: Seed, random: Random): Mutation {
  const { bytes } = seed;
  const copy = Buffer.from(bytes);
  const data = bytes.indexOf('mdat');
  switch (random.below(5)) {
    case 0:
      return truncate(seed, random, bytes.length - 1);
    case 1:
      return flipAnywhere(seed, random, 12);
    case 2:
      return flipAnywhere(seed, random, data + 4);
    case 3: {
      const box = bytes.indexOf(random.pick(['ftyp', 'meta', 'iloc', 'ispe', 'mdat', 'av1C', 'iprp'])) - 4;
      if (box < 0) return flipAnywhere(seed, random, 12);
      const value = random.pick([...ODD_NUMBERS, copy.readUInt32BE(box) + 1]);
      copy.writeUInt32BE(value, box);
      return agrees(`size of the box at ${box} set to ${value}`, copy);
    }
    default: {
      const at = bytes.indexOf('ispe') + random.pick([8, 12]);
      const value = random.pick(ODD_NUMBERS);
      copy.writeUInt32BE(value, at);
      return (value === 0 ? refused : agrees)(`ispe set to ${value}`, copy);
    }
  }
}

const MUTATORS = { png: mutatePng, jpeg: mutateJpeg, webp: mutateWebp, gif: mutateGif, avif: mutateAvif };
