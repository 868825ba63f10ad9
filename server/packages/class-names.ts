import type { Card } from '../../model/shelf/card.js';

/** Colours that are told apart from gray images, and from each other. */
const COLOURS = ['#e6550d', '#3182bd', '#31a354', '#756bb1', '#e7ba52', '#d6616b', '#17becf', '#8c564b'];

/** Classes by their names, the first of them transparent. */
export const classesOf = (names: readonly string[]): Card['classes'] =>
  names.map((name, i) => ({ name, colour: i === 0 ? null : COLOURS[(i - 1) % COLOURS.length]! }));

/**
 * The classes of a network's output.
 * @param names of its channels; null, or of another number, where they have none
 * @param channels of the output: one is the probability of the second of two classes
 */
export function classesNamed(names: readonly string[] | null, channels: number): Card['classes'] {
  const own = names?.length === channels ? names : null;
  if (channels === 1) return classesOf(['background', own?.[0] ?? 'class 1']);
  return classesOf(
    own ?? ['background', ...Array.from({ length: channels - 1 }, (_, i) => `class ${i + 1}`)],
  );
}
