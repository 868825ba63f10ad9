import type { Card } from '../../model/card.js';
import { AUGMENTATIONS, type Augmentation, NO_AUGMENTATION } from '../../model/train/augment.js';
import { RequestError } from '../contract/errors.js';
import { IGNORED } from '../training/labels.js';
import type { TrainingSettings } from '../training/settings.js';

const bad = (message: string): RequestError => new RequestError('bad-request', message);

export const list = (text: string): string[] => text.split(',').filter((item) => item !== '');
export const numbers = (text: string): number[] => list(text).map(Number);

export function fraction(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && value < 1)) throw bad(`"${text}" is not a number from 0 to below 1`);
  return value;
}

export function notNegative(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && Number.isFinite(value))) throw bad(`"${text}" is not a number of at least 0`);
  return value;
}

/** `auto`, or the values that are black and white. */
export function parseRange(text: string): 'auto' | [number, number] {
  if (text === 'auto') return text;
  const range = text.split(',').map((item) => (item.trim() === '' ? Number.NaN : Number(item)));
  const [low, high] = range as [number, number];
  if (range.length !== 2 || !Number.isFinite(low) || !Number.isFinite(high) || low >= high) {
    throw bad(`a range is auto, or the values that are black and white, such as 0,4095; not "${text}"`);
  }
  return [low, high];
}

export function parseClassWeights(text: string): TrainingSettings['classWeights'] {
  if (text === 'balanced' || text === 'none') return text;
  const weights = list(text).map(notNegative);
  if (weights.length === 0) throw bad('class weights are "balanced", "none" or numbers, such as 1,5');
  return weights;
}

/** A set by name, or `flip,rotate:45,elastic:10,…`: what is not named is not done. */
export function parseAugmentation(text: string): Augmentation {
  if (text in AUGMENTATIONS) return AUGMENTATIONS[text as keyof typeof AUGMENTATIONS];
  const result: Record<string, number | boolean> = { ...NO_AUGMENTATION };
  for (const item of list(text)) {
    const [name, amount] = item.split(':') as [string, string | undefined];
    const known = NO_AUGMENTATION[name as keyof Augmentation];
    if (known === undefined) {
      throw bad(`"${name}" is no augmentation; there are ${Object.keys(NO_AUGMENTATION).join(', ')}`);
    }
    if (typeof known === 'boolean' && amount === undefined) result[name] = true;
    else if (typeof known === 'number' && amount !== undefined) result[name] = notNegative(amount);
    else
      throw bad(
        typeof known === 'boolean' ? `${name} takes no number` : `${name} needs a number: ${name}:0.1`,
      );
  }
  return result as unknown as Augmentation;
}

/** Colours of classes that are given none: clear for the first, then these in turn. */
const PALETTE = ['#e6550d', '#3182bd', '#31a354', '#756bb1', '#dd1c77'];

export function parseClasses(text: string): Card['classes'] {
  const classes = text.split(',').map((item, i) => {
    const [name, colour] = item.split(':') as [string, string | undefined];
    if (name === '' || (colour !== undefined && colour !== 'none' && !/^#[0-9a-f]{6}$/.test(colour))) {
      throw bad(`a class is NAME, NAME:#rrggbb or NAME:none, not "${item}"`);
    }
    const otherwise = i === 0 ? null : PALETTE[(i - 1) % PALETTE.length]!;
    return { name, colour: colour === undefined ? otherwise : colour === 'none' ? null : colour };
  });
  if (classes.length < 2) throw bad('name two classes or more; the background is one');
  return classes;
}

/** What `--instances` learns where it is given no other names. */
const CELLS: Card['classes'] = [
  { name: 'background', colour: null },
  { name: 'cell', colour: PALETTE[0]! },
];

/**
 * The classes of a training: as they are named; or of a legend, in its order and colours, the first left clear;
 * or background and cell, of labels that number cells.
 * @throws RequestError for classes and labels that do not go together
 */
export function classesOf(flags: {
  readonly classes?: Card['classes'];
  readonly legend?: string;
  readonly instances?: boolean;
}): Card['classes'] {
  const { classes, legend, instances } = flags;
  if (instances && legend !== undefined) {
    throw bad('--instances is for labels that number cells, --legend for labels in colour: leave one out');
  }
  if (instances && classes && classes.length !== 2) {
    throw bad(`--instances is for two classes, background and cell; there are ${classes.length}`);
  }
  if (classes) return classes;
  if (instances) return CELLS;
  if (legend === undefined)
    throw bad('which classes? Name them by --classes or --legend, or say --instances');
  const named = new Map<string, string>();
  for (const [colour, name] of legendItems(legend)) {
    if (name !== 'ignore' && !named.has(name)) named.set(name, colour);
  }
  if (named.size < 2) throw bad('a legend names two classes or more; the background is one');
  return [...named].map(([name, colour], i) => ({ name, colour: i === 0 ? null : colour }));
}

/** `#000000=background,…` as colours and names. */
function legendItems(text: string): [colour: string, name: string][] {
  return list(text).map((item) => {
    const match = /^(#[0-9a-f]{6})=(.+)$/i.exec(item);
    if (!match) throw bad(`a legend is #rrggbb=CLASS,… or #rrggbb=ignore; not "${item}"`);
    return [match[1]!.toLowerCase(), match[2]!];
  });
}

export const classList = (classes: Card['classes']): string =>
  classes.map(({ name, colour }) => `${name}:${colour ?? 'none'}`).join(',');

/** `#000000=background,#ff0000=cell,#ffffff=ignore` by the names of the classes. */
export function parseLegend(text: string, classes: Card['classes']): [number, number][] {
  return legendItems(text).map(([colour, name]) => {
    const index = classes.findIndex((known) => known.name === name);
    if (index < 0 && name !== 'ignore') {
      const names = [...classes.map((known) => known.name), 'ignore'].join(', ');
      throw bad(`a legend is #rrggbb=CLASS,… with CLASS one of ${names}; not "${colour}=${name}"`);
    }
    return [Number.parseInt(colour.slice(1), 16), index < 0 ? IGNORED : index];
  });
}
