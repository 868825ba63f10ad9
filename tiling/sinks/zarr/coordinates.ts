import type { Axis, Dataset } from './documents.js';
import type { ZarrFormat } from './format.js';

/** The axes of a mask, in the order that the specification requires. */
export function axesOf({ stack, isLabels, mpp }: ZarrFormat): Axis[] {
  const unit = mpp && { unit: 'micrometer' };
  return [
    ...(stack ? [{ name: 't', type: 'time' }] : []),
    ...(isLabels ? [] : [{ name: 'c', type: 'channel' }]),
    ...(stack ? [{ name: 'z', type: 'space', ...(stack.zMicrons && { unit: 'micrometer' }) }] : []),
    { name: 'y', type: 'space', ...unit },
    { name: 'x', type: 'space', ...unit },
  ];
}

/**
 * The levels of a pyramid, by their paths and what their indices are in the axes' units: each px is as wide and high as
 * two of the level before, and lies in the middle of them.
 *
 * @param scale of the largest level, along each axis
 * @param translation the same; null for none
 */
export function levelsOf(
  axes: readonly Axis[],
  scale: readonly number[],
  translation: readonly number[] | null,
  prefix: string,
  levels: number,
): Dataset[] {
  return Array.from({ length: levels }, (_, level) => {
    const factors = axes.map(({ name }) => (name === 'x' || name === 'y' ? 2 ** level : 1));
    const moved = scale.map((px, i) => (translation?.[i] ?? 0) + (px * (factors[i]! - 1)) / 2);
    const transformations: unknown[] = [{ type: 'scale', scale: scale.map((px, i) => px * factors[i]!) }];
    if (level > 0 || translation) transformations.push({ type: 'translation', translation: moved });
    return { path: `${prefix}${level}`, coordinateTransformations: transformations };
  });
}
