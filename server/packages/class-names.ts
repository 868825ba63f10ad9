import type { Card } from '../../model/shelf/card.js';

/** Colours that are told apart from gray images, and from each other. */
const COLOURS = ['#e6550d', '#3182bd', '#31a354', '#756bb1', '#e7ba52', '#d6616b', '#17becf', '#8c564b'];

/** Classes by their names, the first of them transparent. */
export const classesOf = (names: readonly string[]): Card['classes'] =>
  names.map((name, i) => ({ name, colour: i === 0 ? null : COLOURS[(i - 1) % COLOURS.length]! }));

/**
 * The classes of a network's output.
 * @param names of its channels; null, or of another number, where they have none
 * @param channels of the output
 * @param count of the classes: one more where the background has no channel
 */
export function classesNamed(
  names: readonly string[] | null,
  channels: number,
  count: number,
): Card['classes'] {
  const numbered = Array.from({ length: count - 1 }, (_, i) => `class ${i + 1}`);
  if (names?.length !== channels) return classesOf(['background', ...numbered]);
  return classesOf(count > channels ? ['background', ...names] : names);
}

/** Whether a name is that of the background. */
export const isBackground = (name: string | undefined): boolean => name?.toLowerCase() === 'background';

/** Classes beside a background that was not named; the first of them, transparent as the first class is, gets a colour. */
export function withBackground(classes: Card['classes']): Card['classes'] {
  const free = COLOURS.find((colour) => classes.every((each) => each.colour !== colour)) ?? COLOURS[0]!;
  const coloured = classes.map((each, i) =>
    i === 0 && each.colour === null ? { ...each, colour: free } : each,
  );
  return [{ name: 'background', colour: null }, ...coloured];
}
