import { type Constant, intVector, sizeOf } from './constant.js';
import type { Attribute, OnnxNode } from './onnx-file.js';

export const attribute = ({ attributes }: OnnxNode, name: string): Attribute | undefined =>
  attributes.get(name);

/** An axis counted from the front. */
export const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** The numbers of a constant, or those of an attribute of older versions. */
export const listOf = (
  x: Constant | null | undefined,
  ints: readonly number[] | undefined,
): number[] | null => (x ? Array.from(x.values) : ints ? [...ints] : null);

/** The shape that a Reshape requests: 0 for a dimension that stays, −1 for what is left. */
export function requestedShape(
  from: readonly number[],
  requested: readonly number[],
  allowZero: boolean,
): number[] {
  const dims = requested.map((n, d) => (n === 0 && !allowZero ? from[d]! : n));
  const known = dims.reduce((product, n) => (n === -1 ? product : product * n), 1);
  return dims.map((n) => (n === -1 ? sizeOf(from) / known : n));
}

/** What a Slice takes of a dimension. */
export interface Taken {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

/**
 * What a Slice takes of a tensor; its parameters are attributes up to version 9, and inputs later. Null where they are
 * not known, or fit no dimension.
 */
export function takenBy(
  node: OnnxNode,
  inputs: readonly (Constant | null | undefined)[],
  dims: readonly number[],
): Taken[] | null {
  const ints = (name: string) => attribute(node, name)?.ints;
  const starts = listOf(inputs[1], ints('starts'));
  const ends = listOf(inputs[2], ints('ends'));
  if (starts === null || ends === null) return null;
  const axes = (listOf(inputs[3], ints('axes')) ?? starts.map((_, i) => i)).map((axis) =>
    axisOf(axis, dims.length),
  );
  const steps = listOf(inputs[4], undefined) ?? starts.map(() => 1);
  const { length } = starts;
  const isComplete = ends.length === length && axes.length === length && steps.length === length;
  const isRight = axes.every((axis) => dims[axis] !== undefined) && new Set(axes).size === length;
  const isWhole = [...starts, ...ends, ...steps].every(Number.isInteger);
  if (!isComplete || !isRight || !isWhole || steps.includes(0)) return null;
  return axes.map((axis, i) => {
    const length = dims[axis]!;
    const step = steps[i]!;
    const from = (n: number) => (n < 0 ? n + length : n);
    const within = (n: number, least: number, most: number) => Math.min(most, Math.max(least, n));
    const [start, end] =
      step > 0
        ? [within(from(starts[i]!), 0, length), within(from(ends[i]!), 0, length)]
        : [within(from(starts[i]!), 0, length - 1), within(from(ends[i]!), -1, length - 1)];
    return { axis, start, end, step };
  });
}

/** The lengths of the parts that a Split makes of one of its dimensions; null where they are not all of it. */
export function partsOf(node: OnnxNode, sizes: Constant | null | undefined, whole: number): number[] | null {
  const { length } = node.outputs;
  const each = Math.ceil(whole / length);
  const parts =
    listOf(sizes, attribute(node, 'split')?.ints) ??
    Array.from({ length }, (_, i) => Math.min(each, whole - i * each));
  const isWhole =
    parts.every((n) => Number.isInteger(n) && n >= 0) && parts.reduce((sum, n) => sum + n, 0) === whole;
  return isWhole && parts.length === length ? parts : null;
}

/** The shape of a tensor, or the part of it that a node requests. */
export function shapeOf(dims: readonly number[], node: OnnxNode): Constant {
  const { length } = dims;
  const within = (n: number) => Math.min(length, Math.max(0, axisOf(n, length)));
  const start = within(attribute(node, 'start')?.i ?? 0);
  const end = node.attributes.has('end') ? within(attribute(node, 'end')!.i!) : length;
  return intVector(dims.slice(start, end));
}
