import type { Card } from '../../model/shelf/card.js';
import { namedChannels } from '../../model/shelf/named-channels.js';
import { AUGMENTATIONS, type Augmentation, NO_AUGMENTATION } from '../../model/train/augment.js';
import { RequestError } from '../contract/errors.js';
import type { ImageChannels } from '../training/data/image-channels.js';
import { IGNORED } from '../training/data/labels.js';
import type { TrainingSettings } from '../training/settings.js';

const bad = (message: string): RequestError => new RequestError('bad-request', message);

/** `DAPI,CD45`, with further names `DAPI|Hoechst`, or with numbers `2=DAPI,0=CD45`. */
export function parseImageChannels(text: string): ImageChannels {
  const items = parseList(text).map((item) => {
    const [, index, names] = /^(?:(\d{1,4})=)?(.+)$/.exec(item)!;
    const [name = '', ...aliases] = names!.split('|').map((each) => each.trim());
    return { index: index === undefined ? null : Number(index), named: { name, aliases } };
  });
  const numbered = items.flatMap(({ index }) => index ?? []);
  if (numbered.length > 0 && numbered.length < items.length)
    throw bad(`invalid channels "${text}": give a number to each of them, such as 2=DAPI, or to none`);
  const named = namedChannels.safeParse(items.map((item) => item.named));
  if (!named.success) throw bad(`invalid channels "${text}": ${named.error.issues[0]!.message}`);
  return { named: named.data, indexes: numbered.length > 0 ? numbered : null };
}

/** Items of a comma-separated list; empty ones are dropped. */
export const parseList = (text: string): string[] => text.split(',').filter((item) => item !== '');
/** Numbers of a comma-separated list; NaN for items that are not numbers. */
export const parseNumbers = (text: string): number[] => parseList(text).map(Number);

/** Feature channels: numbers. Names are those of the images' channels, which have an option of their own. */
export function parseFeatures(text: string): number[] {
  const numbers = parseNumbers(text);
  if (!numbers.some(Number.isNaN)) return numbers;
  throw bad(
    `--channels are numbers of feature channels, such as 16,32,64: name the channels of the images with --image-channels ${text}`,
  );
}

/** A number in [0, 1). */
export function fraction(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && value < 1)) throw bad(`"${text}" is not a number from 0 to below 1`);
  return value;
}

/** A number of at least 0. */
export function notNegative(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && Number.isFinite(value))) throw bad(`"${text}" is not a number of at least 0`);
  return value;
}

/** `auto`, or the stored values that are black and white: `0,4095`. */
export function parseRange(text: string): 'auto' | [number, number] {
  if (text === 'auto') return text;
  const [low = Number.NaN, high = Number.NaN, ...others] = text
    .split(',')
    .map((item) => (item.trim() === '' ? Number.NaN : Number(item)));
  if (others.length > 0 || !Number.isFinite(low) || !Number.isFinite(high) || low >= high) {
    throw bad(
      `invalid range "${text}": expected auto, or the stored values of black and white, such as 0,4095`,
    );
  }
  return [low, high];
}

/** `balanced`, `none`, or one weight per class: `1,5`. */
export function parseClassWeights(text: string): TrainingSettings['classWeights'] {
  if (text === 'balanced' || text === 'none') return text;
  const weights = parseList(text).map(notNegative);
  if (weights.length === 0)
    throw bad('invalid class weights: expected "balanced", "none" or numbers, such as 1,5');
  return weights;
}

/** The name of a set, or a list `flip,rotate:45,elastic:10`, which switches everything else off. */
export function parseAugmentation(text: string): Augmentation {
  if (isAugmentationSet(text)) return AUGMENTATIONS[text];
  let result = NO_AUGMENTATION;
  for (const item of parseList(text)) {
    const [name = '', amount] = item.split(':');
    if (!isAugmentation(name)) {
      throw bad(`unknown augmentation "${name}": expected ${Object.keys(NO_AUGMENTATION).join(', ')}`);
    }
    const isSwitch = typeof NO_AUGMENTATION[name] === 'boolean';
    if (isSwitch && amount !== undefined) throw bad(`${name} takes no number`);
    if (!isSwitch && amount === undefined) throw bad(`${name} needs a number: ${name}:0.1`);
    result = { ...result, [name]: amount === undefined ? true : notNegative(amount) };
  }
  return result;
}

const isAugmentation = (name: string): name is keyof Augmentation => Object.hasOwn(NO_AUGMENTATION, name);
const isAugmentationSet = (name: string): name is keyof typeof AUGMENTATIONS =>
  Object.hasOwn(AUGMENTATIONS, name);

/** Colours of classes without one, in turn; the first class is transparent. */
const PALETTE = ['#e6550d', '#3182bd', '#31a354', '#756bb1', '#dd1c77'];

/** Class names with optional colours: `background,cell:#ff0000,debris:none`. */
export function parseClasses(text: string): Card['classes'] {
  const classes = text.split(',').map((item, i) => {
    const [name = '', colour] = item.split(':');
    if (name === '' || (colour !== undefined && colour !== 'none' && !/^#[0-9a-f]{6}$/.test(colour))) {
      throw bad(`invalid class "${item}": expected NAME, NAME:#rrggbb or NAME:none`);
    }
    const fallback = i === 0 ? null : PALETTE[(i - 1) % PALETTE.length]!;
    return { name, colour: colour === undefined ? fallback : colour === 'none' ? null : colour };
  });
  if (classes.length < 2) throw bad('name two classes or more; the background is one');
  const twice = classes.find(({ name }, i) => classes.findIndex((each) => each.name === name) < i);
  if (twice) throw bad(`two classes are named "${twice.name}": each needs a name of its own`);
  return classes;
}

/** The classes of `--instances` unless they are named. */
const INSTANCE_CLASSES: Card['classes'] = [
  { name: 'background', colour: null },
  { name: 'cell', colour: PALETTE[0]! },
];

/**
 * The classes of a training: those of `--classes`; else those of the legend, in its order and colours, the first
 * transparent; else, with `--instances`, background and cell.
 * @throws RequestError for options that contradict each other
 */
export function classesOf(flags: {
  readonly classes?: Card['classes'];
  readonly legend?: string;
  readonly instances?: boolean;
}): Card['classes'] {
  const { classes, legend, instances } = flags;
  if (instances && legend !== undefined) {
    throw bad('--instances is for labels with cell numbers, --legend for labels in colour: leave one out');
  }
  if (instances && classes && classes.length !== 2) {
    throw bad(`--instances is for two classes, background and cell; there are ${classes.length}`);
  }
  if (classes) return classes;
  if (instances) return INSTANCE_CLASSES;
  if (legend === undefined) {
    throw bad('no classes: name them with --classes or --legend, or use --instances');
  }
  const named = new Map<string, string>();
  for (const [colour, name] of legendItems(legend)) {
    if (name !== 'ignore' && !named.has(name)) named.set(name, colour);
  }
  if (named.size < 2) throw bad('a legend names two classes or more; the background is one');
  return [...named].map(([name, colour], i) => ({ name, colour: i === 0 ? null : colour }));
}

/** The items of a legend `#000000=background,…`. */
function legendItems(text: string): [colour: string, name: string][] {
  return parseList(text).map((item) => {
    const match = /^(#[0-9a-f]{6})=(.+)$/i.exec(item);
    if (!match) throw bad(`invalid legend "${item}": expected #rrggbb=CLASS,… or #rrggbb=ignore`);
    return [match[1]!.toLowerCase(), match[2]!];
  });
}

/** The inverse of `parseClasses`. */
export const formatClasses = (classes: Card['classes']): string =>
  classes.map(({ name, colour }) => `${name}:${colour ?? 'none'}`).join(',');

/** A legend `#000000=background,#ff0000=cell,#ffffff=ignore` as colours 0xrrggbb with class indices. */
export function parseLegend(text: string, classes: Card['classes']): [number, number][] {
  return legendItems(text).map(([colour, name]) => {
    const index = classes.findIndex((known) => known.name === name);
    if (index < 0 && name !== 'ignore') {
      const names = [...classes.map((known) => known.name), 'ignore'].join(', ');
      throw bad(`invalid legend "${colour}=${name}": expected #rrggbb=CLASS,… with CLASS one of ${names}`);
    }
    return [Number.parseInt(colour.slice(1), 16), index < 0 ? IGNORED : index];
  });
}
