import { mutateText } from './mutate-text.js';
import { agrees, flipBytes, type Mutate, type Mutation, ODD_NUMBERS, refused } from './mutation.js';
import type { Random } from './random.js';
import type { Seed } from './seeds.js';
import { chunkTags, fits, REQUIRED_TAGS, requiredSpans, SIZE_TAGS, TAG, tagValue } from './tiff-layout.js';
import { type DirectoryPlace, TiffMap } from './tiff-map.js';

/** Tags whose value is a code. */
const CODE_TAGS = [
  TAG.compression,
  TAG.photometric,
  TAG.fillOrder,
  TAG.planar,
  TAG.predictor,
  TAG.sampleFormat,
];

type MutateTiff = (map: TiffMap, page: DirectoryPlace, random: Random, seed: Seed) => Mutation;

/** Each seed is parsed once. */
const maps = new WeakMap<Seed, TiffMap>();

/** Damages a TIFF in one place: its length, its tags, its directories or its pixels. */
export const mutateTiff: Mutate = (seed, random) => {
  const map = maps.get(seed) ?? new TiffMap(seed.bytes);
  maps.set(seed, map);
  const page = map.pages[random.pick(seed.planes)]!;
  return random.pick(MUTATORS)(map, page, random, seed);
};

/** Cuts the end off. */
const truncate: MutateTiff = (map, _page, random, { planes, bytes }) => {
  const stop = random.chance(0.3) ? bytes.length - random.between(1, 64) : random.below(bytes.length);
  const isNeeded = requiredSpans(map, planes).some((span) => span.stop > stop);
  return (isNeeded ? refused : agrees)(`cut to ${stop} of ${bytes.length} bytes`, bytes.subarray(0, stop));
};

/** Changes a size: of the image, its tiles, strips or samples. */
const resize: MutateTiff = (map, page, random) => {
  const place = random.pick(SIZE_TAGS.flatMap((tag) => page.tags.get(tag) ?? []));
  const old = map.value(place);
  const value = random.chance(0.5) ? random.pick(ODD_NUMBERS) : Math.max(0, old + random.between(-9, 9));
  const size = (place.values.stop - place.values.start) / place.count;
  const stored = value % 2 ** (8 * size);
  const bytes = Buffer.from(map.bytes);
  // BitsPerSample has one value per channel.
  for (let i = 0; i < place.count; i++) map.overwrite(bytes, place.values.start + i * size, size, stored);
  const what = `tag ${place.tag} changed from ${old} to ${stored}`;
  return (fits(map, page, new Map([[place.tag, stored]])) ? agrees : refused)(what, bytes);
};

/** Changes the offset or the byte count of one strip or tile. */
const moveChunk: MutateTiff = (map, page, random) => {
  const index = random.below(page.chunks.length);
  const [offsets, counts] = chunkTags(page);
  const chunk = page.chunks[index]!;
  const end = map.bytes.length;
  const plainPixels = tagValue(map, page, TAG.compression, 1) === 1;
  const tiled = page.tags.has(TAG.tileOffsets);
  if (random.chance(0.5)) {
    const value = random.pick([
      0,
      end,
      end + 17,
      0x7fff_ffff,
      0xffff_fff0,
      chunk.start + random.between(-40, 40),
    ]);
    const lost = value <= 0 || value + (chunk.stop - chunk.start) > end;
    const what = `chunk ${index} moved from ${chunk.start} to ${value}`;
    return (lost ? refused : agrees)(what, map.withValue(offsets, Math.max(0, value), index));
  }
  const length = chunk.stop - chunk.start;
  const value = random.pick([0, 1, length >> 1, length - 1, length + 1, end, 0x7fff_ffff, 0xffff_ffff]);
  // Where uncompressed strips end follows from their rows, whatever the byte count says.
  const over = chunk.start + (plainPixels && !tiled ? Math.min(value, length) : value) > end;
  const lost = value === 0 || over || (plainPixels && value < length);
  const what = `byte count of chunk ${index} changed from ${length} to ${value}`;
  return (lost ? refused : agrees)(what, map.withValue(counts, value, index));
};

/** Changes how many values a tag claims to have. */
const recount: MutateTiff = (map, page, random) => {
  const place = random.pick([
    ...chunkTags(page),
    ...[TAG.width, TAG.height].map((tag) => page.tags.get(tag)!),
  ]);
  const word = map.big ? 8 : 4;
  const value = random.pick([...ODD_NUMBERS, Math.max(0, place.count - 1), place.count + 1]);
  const size = (place.values.stop - place.values.start) / place.count;
  const inline = value * size <= word;
  const at = inline ? place.at + 4 + word : map.read(place.at + 4 + word, word);
  const chunks = place.tag !== TAG.width && place.tag !== TAG.height;
  const lost = value === 0 || at + value * size > map.bytes.length || (chunks && value < page.chunks.length);
  const bytes = map.with(place.at + 4, word, value);
  return (lost ? refused : agrees)(
    `count of tag ${place.tag} changed from ${place.count} to ${value}`,
    bytes,
  );
};

/** Damages the chain of directories, or a SubIFD. */
const breakDirectory: MutateTiff = (map, page, random) => {
  const [first, word] = map.big ? [8, 8] : [4, 4];
  const end = map.bytes.length;
  switch (random.below(4)) {
    case 0: {
      const at = random.pick([0, 1, 7, end, end - 1, 0x7fff_ffff, 0xffff_ffff]);
      return refused(`first directory at ${at}`, map.with(first, word, at));
    }
    case 1: {
      const tags = random.pick([0, 0x7fff, 0xffff]);
      const what = `a directory of ${tags} tags`;
      return refused(what, map.with(page.at, map.big ? 8 : 2, map.big && tags > 0 ? tags * 0x10001 : tags));
    }
    case 2: {
      const next = random.pick([page.at, map.pages[0]!.at, end, 0xffff_ffff, random.below(end)]);
      const at = map.pages.at(-1)!.whole.stop - word;
      return agrees(`next directory at ${next}`, map.with(at, word, next));
    }
    default: {
      const children = page.tags.get(TAG.children);
      if (!children)
        return agrees('a directory that links to itself', map.with(page.whole.stop - word, word, page.at));
      const at = random.pick([0, page.at, end, 0xffff_ffff, random.below(end)]);
      return agrees(`a SubIFD at ${at}`, map.withValue(children, at));
    }
  }
};

/** Damages the header: byte order, version or size of offsets. */
const breakMagic: MutateTiff = (map, _page, random) => {
  const head = Buffer.from(map.bytes);
  const kind = random.below(4);
  if (kind === 0) head.write(map.bigEndian ? 'II' : 'MM', 0, 'latin1');
  if (kind === 1)
    return refused('wrong version', map.with(2, 2, random.pick([0, 41, 44, map.big ? 42 : 43, 0x2a00])));
  if (kind === 2) random.bytes(4).copy(head);
  if (kind === 3) {
    if (!map.big) return refused('first byte removed', head.subarray(1));
    return refused('offsets of 4 bytes in a BigTIFF', map.with(4, 2, 4));
  }
  return refused(kind === 0 ? 'opposite byte order' : 'random magic', head);
};

/** Changes the data type of a tag. */
const retype: MutateTiff = (map, page, random) => {
  const place = random.pick([...page.tags.values()]);
  const type = random.pick([0, 99, 2, 5, 6, 11, 12, 16]);
  const what = `type of tag ${place.tag} changed from ${place.type} to ${type}`;
  const lost = REQUIRED_TAGS.includes(place.tag) && (type === 0 || type === 99);
  return (lost ? refused : agrees)(what, map.with(place.at + 2, 2, type));
};

/** Replaces a tag by an unknown one. */
const drop: MutateTiff = (map, page, random) => {
  const place = random.pick([...page.tags.values()]);
  const lost = REQUIRED_TAGS.includes(place.tag);
  return (lost ? refused : agrees)(`tag ${place.tag} removed`, map.with(place.at, 2, 65_000));
};

/** Changes a code, such as that of the compression. */
const recode: MutateTiff = (map, page, random) => {
  const place = random.pick(CODE_TAGS.flatMap((tag) => page.tags.get(tag) ?? []));
  const value = random.pick([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 32773, 33003, 34712, 50000, 9999]);
  const lost = place.tag === TAG.compression && (value === 9999 || value === 0);
  return (lost ? refused : agrees)(`tag ${place.tag} set to ${value}`, map.withValue(place, value));
};

/** Flips bits in the stored pixels. */
const flipPixels: MutateTiff = (map, page, random) => {
  const { start, stop } = random.pick(page.chunks);
  const { what, bytes } = flipBytes(map.bytes, start, stop, random);
  return agrees(`pixels: ${what}`, bytes);
};

/** Flips bits in a directory or in the values of its tags. */
const flipTags: MutateTiff = (map, page, random) => {
  const { start, stop } = random.pick([page.whole, ...[...page.tags.values()].map(({ values }) => values)]);
  const { what, bytes } = flipBytes(map.bytes, start, stop, random);
  return agrees(`tags: ${what}`, bytes);
};

/** Changes the description (OME-XML, Fiji's or Aperio's), which is appended to the file since its length changes. */
const changeDescription: MutateTiff = (map, _page, random) => {
  const place = map.pages[0]!.tags.get(TAG.description);
  if (!place)
    return agrees('trailing bytes', Buffer.concat([map.bytes, random.bytes(random.between(1, 99))]));
  const text = map.bytes.toString('utf8', place.values.start, place.values.stop - 1);
  const changed = mutateText(text, random);
  const stored = Buffer.from(`${changed.text}\0`);
  const word = map.big ? 8 : 4;
  const bytes = map.with(place.at + 4, word, stored.length);
  map.overwrite(bytes, place.at + 4 + word, word, bytes.length);
  return agrees(`description: ${changed.what}`, Buffer.concat([bytes, stored]));
};

const MUTATORS = [
  ...[
    truncate,
    truncate,
    resize,
    resize,
    moveChunk,
    recount,
    breakDirectory,
    breakMagic,
    retype,
    drop,
    recode,
  ],
  ...[flipPixels, flipPixels, flipTags, changeDescription],
];
