import { type Constant, sizeOf } from './constant.js';
import type { OnnxNode } from './onnx-file.js';

/** What a node computes of constants. @throws UnfoldableError */
export type Rule = (inputs: readonly Constant[], node: OnnxNode) => Constant | readonly Constant[];

/** A node whose result is not known, or would be too large. */
export class UnfoldableError extends Error {
  override readonly name = 'UnfoldableError';
}

/** Elements of a folded tensor, at most: weights have fewer, and shapes a handful. */
export const MAX_ELEMENTS = 2 ** 26;

export const unfoldable = (): never => {
  throw new UnfoldableError();
};

/** A shape, before there are values of it: two vectors may claim as many as their product. @throws UnfoldableError */
export function allowed(dims: readonly number[] | null): readonly number[] {
  if (dims?.every((n) => Number.isSafeInteger(n) && n >= 0) && sizeOf(dims) <= MAX_ELEMENTS) return dims;
  return unfoldable();
}

/** The values of a constant under another shape. @throws UnfoldableError where it has more or fewer of them */
export function reshaped(x: Constant, dims: readonly number[]): Constant {
  return sizeOf(allowed(dims)) === sizeOf(x.dims) ? { ...x, dims } : unfoldable();
}

/** Axes of a tensor, counted from the front. @throws UnfoldableError for some that it does not have */
export function axesWithin(axes: readonly number[], rank: number): number[] {
  const found = axes.map((axis) => (axis < 0 ? axis + rank : axis));
  if (new Set(found).size !== found.length) unfoldable();
  return found.every((axis) => Number.isInteger(axis) && axis >= 0 && axis < rank) ? found : unfoldable();
}
