import { agrees, flipBytes, type Mutate, type Mutation, ODD_NUMBERS, refused } from './mutation.js';
import type { Random } from './random.js';
import type { Seed } from './seeds.js';
import { type DirectoryPlace, type Span, type TagPlace, TiffMap } from './tiff-map.js';

const TAG = {
  width: 256,
  height: 257,
  bits: 258,
  compression: 259,
  photometric: 262,
  fillOrder: 266,
  description: 270,
  stripOffsets: 273,
  samples: 277,
  rowsPerStrip: 278,
  stripCounts: 279,
  planar: 284,
  predictor: 317,
  palette: 320,
  tileWidth: 322,
  tileHeight: 323,
  tileOffsets: 324,
  tileCounts: 325,
  sampleFormat: 339,
  children: 330,
  extraSamples: 338,
  jpegTables: 347,
};
const SIZES = [TAG.width, TAG.height, TAG.bits, TAG.samples, TAG.tileWidth, TAG.tileHeight, TAG.rowsPerStrip];
const CODES = [TAG.compression, TAG.photometric, TAG.fillOrder, TAG.planar, TAG.predictor, TAG.sampleFormat];
/** Without these there is no picture. */
const REQUIRED = [TAG.width, TAG.height, TAG.tileWidth, TAG.tileHeight, TAG.stripOffsets, TAG.tileOffsets];
const NEEDED = [
  ...SIZES,
  ...REQUIRED,
  TAG.compression,
  TAG.stripCounts,
  TAG.tileCounts,
  TAG.palette,
  TAG.jpegTables,
];
/** Compressions whose chunks hold the bytes that the sizes say: none, LZW, deflate, PackBits. */
const PLAIN = [1, 5, 8, 32773];

type MutateTiff = (map: TiffMap, page: DirectoryPlace, random: Random, seed: Seed) => Mutation;

const maps = new WeakMap<Seed, TiffMap>();

/** Breaks a TIFF in one place. */
export const mutateTiff: Mutate = (seed, random) => {
  const map = maps.get(seed) ?? new TiffMap(seed.bytes);
  maps.set(seed, map);
  const page = map.pages[random.pick(seed.planes)]!;
  return random.pick(WAYS)(map, page, random, seed);
};

const truncate: MutateTiff = (map, _page, random, { planes, bytes }) => {
  const stop = random.chance(0.3) ? bytes.length - random.between(1, 64) : random.below(bytes.length);
  const needed = neededSpans(map, planes).some((span) => span.stop > stop);
  return (needed ? refused : agrees)(`cut to ${stop} of ${bytes.length} bytes`, bytes.subarray(0, stop));
};

const resize: MutateTiff = (map, page, random) => {
  const place = random.pick(SIZES.flatMap((tag) => page.tags.get(tag) ?? []));
  const old = map.value(place);
  const value = random.chance(0.5) ? random.pick(ODD_NUMBERS) : Math.max(0, old + random.between(-9, 9));
  const size = (place.values.stop - place.values.start) / place.count;
  const stored = value % 2 ** (8 * size);
  const bytes = Buffer.from(map.bytes);
  // Bits are listed for each channel.
  for (let i = 0; i < place.count; i++) map.overwrite(bytes, place.values.start + i * size, size, stored);
  const what = `tag ${place.tag} is ${stored}, not ${old}`;
  return (fits(map, page, new Map([[place.tag, stored]])) ? agrees : refused)(what, bytes);
};

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
    const what = `chunk ${index} is at ${value}, not ${chunk.start}`;
    return (lost ? refused : agrees)(what, map.withValue(offsets, Math.max(0, value), index));
  }
  const length = chunk.stop - chunk.start;
  const value = random.pick([0, 1, length >> 1, length - 1, length + 1, end, 0x7fff_ffff, 0xffff_ffff]);
  // Of uncompressed rows it is known where they end, whatever the count says.
  const over = chunk.start + (plainPixels && !tiled ? Math.min(value, length) : value) > end;
  const lost = value === 0 || over || (plainPixels && value < length);
  const what = `chunk ${index} has ${value} bytes, not ${length}`;
  return (lost ? refused : agrees)(what, map.withValue(counts, value, index));
};

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
  return (lost ? refused : agrees)(`tag ${place.tag} has ${value} values, not ${place.count}`, bytes);
};

const breakDirectory: MutateTiff = (map, page, random) => {
  const [first, word] = map.big ? [8, 8] : [4, 4];
  const end = map.bytes.length;
  switch (random.below(4)) {
    case 0: {
      const at = random.pick([0, 1, 7, end, end - 1, 0x7fff_ffff, 0xffff_ffff]);
      return refused(`the first directory is at ${at}`, map.with(first, word, at));
    }
    case 1: {
      const tags = random.pick([0, 0x7fff, 0xffff]);
      const what = `a directory of ${tags} tags`;
      return refused(what, map.with(page.at, map.big ? 8 : 2, map.big && tags > 0 ? tags * 0x10001 : tags));
    }
    case 2: {
      const next = random.pick([page.at, map.pages[0]!.at, end, 0xffff_ffff, random.below(end)]);
      const at = map.pages.at(-1)!.whole.stop - word;
      return agrees(`a directory that goes on at ${next}`, map.with(at, word, next));
    }
    default: {
      const children = page.tags.get(TAG.children);
      if (!children)
        return agrees('a directory that is its own next', map.with(page.whole.stop - word, word, page.at));
      const at = random.pick([0, page.at, end, 0xffff_ffff, random.below(end)]);
      return agrees(`a SubIFD at ${at}`, map.withValue(children, at));
    }
  }
};

const breakMagic: MutateTiff = (map, _page, random) => {
  const head = Buffer.from(map.bytes);
  const way = random.below(4);
  if (way === 0) head.write(map.bigEndian ? 'II' : 'MM', 0, 'latin1');
  if (way === 1)
    return refused('another version', map.with(2, 2, random.pick([0, 41, 44, map.big ? 42 : 43, 0x2a00])));
  if (way === 2) random.bytes(4).copy(head);
  if (way === 3) {
    if (!map.big) return refused('the first byte is gone', head.subarray(1));
    return refused('offsets of 4 bytes in a BigTIFF', map.with(4, 2, 4));
  }
  return refused(way === 0 ? 'the other byte order' : 'random magic', head);
};

const retype: MutateTiff = (map, page, random) => {
  const place = random.pick([...page.tags.values()]);
  const type = random.pick([0, 99, 2, 5, 6, 11, 12, 16]);
  const what = `tag ${place.tag} of type ${type}, not ${place.type}`;
  const lost = REQUIRED.includes(place.tag) && (type === 0 || type === 99);
  return (lost ? refused : agrees)(what, map.with(place.at + 2, 2, type));
};

const drop: MutateTiff = (map, page, random) => {
  const place = random.pick([...page.tags.values()]);
  const lost = REQUIRED.includes(place.tag);
  return (lost ? refused : agrees)(`without tag ${place.tag}`, map.with(place.at, 2, 65_000));
};

const recode: MutateTiff = (map, page, random) => {
  const place = random.pick(CODES.flatMap((tag) => page.tags.get(tag) ?? []));
  const value = random.pick([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 32773, 33003, 34712, 50000, 9999]);
  const lost = place.tag === TAG.compression && (value === 9999 || value === 0);
  return (lost ? refused : agrees)(`tag ${place.tag} is ${value}`, map.withValue(place, value));
};

const flipPixels: MutateTiff = (map, page, random) => {
  const { start, stop } = random.pick(page.chunks);
  const { what, bytes } = flipBytes(map.bytes, start, stop, random);
  return agrees(`pixels: ${what}`, bytes);
};

const flipTags: MutateTiff = (map, page, random) => {
  const { start, stop } = random.pick([page.whole, ...[...page.tags.values()].map(({ values }) => values)]);
  const { what, bytes } = flipBytes(map.bytes, start, stop, random);
  return agrees(`tags: ${what}`, bytes);
};

/** Numbers of a description: OME-XML, Fiji's lines, Aperio's. It is moved to the end, as its length changes. */
const describe: MutateTiff = (map, _page, random) => {
  const place = map.pages[0]!.tags.get(TAG.description);
  if (!place)
    return agrees('bytes behind the end', Buffer.concat([map.bytes, random.bytes(random.between(1, 99))]));
  const text = map.bytes.toString('utf8', place.values.start, place.values.stop - 1);
  const changed = mutateText(text, random);
  const stored = Buffer.from(`${changed.text}\0`);
  const word = map.big ? 8 : 4;
  const bytes = map.with(place.at + 4, word, stored.length);
  map.overwrite(bytes, place.at + 4 + word, word, bytes.length);
  return agrees(`description: ${changed.what}`, Buffer.concat([bytes, stored]));
};

const WAYS = [
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
  ...[flipPixels, flipPixels, flipTags, describe],
];

/** One number of a text, or one of its characters, is another. */
export function mutateText(text: string, random: Random): { readonly what: string; readonly text: string } {
  const numbers = [...text.matchAll(/\d+/g)];
  if (numbers.length > 0 && random.chance(0.7)) {
    const found = random.pick(numbers);
    const other = random.pick([
      '0',
      '1',
      '2',
      '-1',
      '1000000000',
      '4294967296',
      '1e9',
      'NaN',
      '',
      '0.5',
      '99',
    ]);
    const changed = text.slice(0, found.index) + other + text.slice(found.index + found[0].length);
    return { what: `${found[0]} at ${found.index} is ${other || 'gone'}`, text: changed };
  }
  const at = random.below(text.length);
  const other = random.pick([
    '<',
    '>',
    '&',
    '"',
    '\u0001',
    'é',
    '&#x0;',
    '<!DOCTYPE x>',
    ']]>',
    '\n',
    '='.repeat(5000),
  ]);
  const shown = JSON.stringify(other.slice(0, 12));
  return { what: `character ${at} is ${shown}`, text: text.slice(0, at) + other + text.slice(at + 1) };
}

const chunkTags = (page: DirectoryPlace): [TagPlace, TagPlace] => [
  (page.tags.get(TAG.tileOffsets) ?? page.tags.get(TAG.stripOffsets))!,
  (page.tags.get(TAG.tileCounts) ?? page.tags.get(TAG.stripCounts))!,
];

function tagValue(map: TiffMap, page: DirectoryPlace, tag: number, otherwise: number): number {
  const place = page.tags.get(tag);
  return place ? map.value(place) : otherwise;
}

/** What has to be in the file for the pixels of some pages to be read. */
function neededSpans(map: TiffMap, planes: readonly number[]): Span[] {
  const word = map.big ? 8 : 4;
  const chain = map.pages.slice(0, Math.max(...planes) + 1);
  return [
    { start: 0, stop: map.big ? 16 : 8 },
    ...chain.map(({ whole }) => ({ start: whole.start, stop: whole.stop - word })),
    ...planes.flatMap((plane) => {
      const { tags, chunks } = map.pages[plane]!;
      return [...chunks, ...NEEDED.flatMap((tag) => tags.get(tag)?.values ?? [])];
    }),
  ];
}

/** Whether the chunks that a page lists can hold the picture that its tags claim, some of which are changed. */
function fits(map: TiffMap, page: DirectoryPlace, changes: ReadonlyMap<number, number>): boolean {
  const layout = (changed: ReadonlyMap<number, number>) => {
    const value = (tag: number, otherwise: number) => changed.get(tag) ?? tagValue(map, page, tag, otherwise);
    const [width, height] = [value(TAG.width, 0), value(TAG.height, 0)];
    const tiled = page.tags.has(TAG.tileWidth);
    const samples = value(TAG.samples, 1);
    const planar = samples > 1 && value(TAG.planar, 1) === 2;
    const across = tiled ? value(TAG.tileWidth, 0) : width;
    const down = tiled ? value(TAG.tileHeight, 0) : Math.min(height, value(TAG.rowsPerStrip, height));
    const rowBytes = Math.ceil((across * (planar ? 1 : samples) * value(TAG.bits, 1)) / 8);
    const planes = planar ? samples : 1;
    const chunks = Math.ceil(width / across) * Math.ceil(height / down) * planes;
    const positive = width * height * across * down * samples * value(TAG.bits, 1) > 0;
    return { positive, planes, chunks, bytes: rowBytes * down, allBytes: rowBytes * height * planes };
  };
  const [before, after] = [layout(new Map()), layout(changes)];
  if (!after.positive) return false;
  const compression = tagValue(map, page, TAG.compression, 1);
  // Uncompressed rows in one strip are one after the other, however many of them a strip is said to have.
  const oneStrip = compression === 1 && !page.tags.has(TAG.tileWidth) && page.chunks.length === after.planes;
  if (oneStrip) return after.allBytes <= before.allBytes;
  if (after.chunks > page.chunks.length) return false;
  return !PLAIN.includes(compression) || after.bytes <= before.bytes;
}
