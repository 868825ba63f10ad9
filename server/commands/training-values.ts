import type { Card } from '../../model/card.js';
import { AUGMENTATIONS, type Augmentation, NO_AUGMENTATION } from '../../model/train/augment.js';
import { RequestError } from '../errors.js';
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

export const classList = (classes: Card['classes']): string =>
  classes.map(({ name, colour }) => `${name}:${colour ?? 'none'}`).join(',');

/** `#000000=background,#ff0000=cell,#ffffff=ignore` by the names of the classes. */
export function parseLegend(text: string, classes: Card['classes']): [number, number][] {
  return list(text).map((item) => {
    const match = /^#([0-9a-f]{6})=(.+)$/i.exec(item);
    const index = classes.findIndex(({ name }) => name === match?.[2]);
    if (!match || (index < 0 && match[2] !== 'ignore')) {
      const names = [...classes.map(({ name }) => name), 'ignore'].join(', ');
      throw bad(`a legend is #rrggbb=CLASS,… with CLASS one of ${names}; not "${item}"`);
    }
    return [Number.parseInt(match[1]!, 16), index < 0 ? IGNORED : index];
  });
}
