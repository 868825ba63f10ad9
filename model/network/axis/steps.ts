import { fraction, ONE, type Rational } from './rational.js';

/**
 * What an operator does along one axis of a feature map, in px of the map that it reads. Where a map's px number i
 * depends on reads `first(i)` to `last(i)`, which need not exist: those are padding, or the border repeated. Both
 * functions never decrease, and so hold for all px of a map at once.
 */
export interface PlacedStep {
  /** Px of the output. */
  readonly length: number;
  first(i: number): number;
  last(i: number): number;
  /** Px of the input in front of the output's first px, where the output is seen as its blocks; may be negative. */
  readonly shift: number;
}

/** An operator along one axis, whatever the size of its input. */
export interface AxisStep {
  /** The distance of neighbouring px of the output, in px of the input: 2 for pooling by 2, 1/2 for doubling. */
  readonly scale: Rational;
  /** @param length px of the input, on which padding may depend; see `SAME` */
  at(length: number): PlacedStep;
}

/** Zeros before and behind, in px; or as many as make the output `ceil(length / stride)` px, as TensorFlow has them. */
export type Padding = readonly [before: number, after: number] | 'same' | 'same-lower';

export interface WindowOptions {
  readonly kernel: number;
  readonly stride?: number;
  readonly dilation?: number;
  readonly padding?: Padding;
  /** Whether a window may reach beyond the padding at the end. Default false. */
  readonly ceil?: boolean;
}

/** Px from one block of `stride` px to the window around it. */
const centre = (extent: number, stride: number): number =>
  stride === 1 ? Math.floor((extent - 1) / 2) : Math.ceil((extent - stride) / 2);

/** The zeros that an operator with windows adds to a map of this length. */
export function paddingAt(
  { kernel, stride = 1, dilation = 1, padding = [0, 0] }: WindowOptions,
  length: number,
): readonly [number, number] {
  if (typeof padding !== 'string') return padding;
  const extent = (kernel - 1) * dilation + 1;
  const total = Math.max(0, (Math.ceil(length / stride) - 1) * stride + extent - length);
  const [less, more] = [Math.floor(total / 2), Math.ceil(total / 2)];
  return padding === 'same' ? [less, more] : [more, less];
}

/** A convolution or a pooling. */
export function windows(options: WindowOptions): AxisStep {
  const { kernel, stride = 1, dilation = 1, ceil = false } = options;
  const extent = (kernel - 1) * dilation + 1;
  return {
    scale: fraction(stride, 1),
    at(length) {
      const [before, after] = paddingAt(options, length);
      const steps = (length + before + after - extent) / stride;
      let count = (ceil ? Math.ceil(steps) : Math.floor(steps)) + 1;
      // a window that would begin behind the image is left out
      if (ceil && (count - 1) * stride >= length + before) count--;
      return {
        length: count,
        first: (i) => i * stride - before,
        last: (i) => i * stride - before + extent - 1,
        shift: centre(extent, stride) - before,
      };
    },
  };
}

export interface TransposedOptions {
  readonly kernel: number;
  readonly stride: number;
  readonly dilation?: number;
  /** Px of the output that are cut off. */
  readonly padding?: readonly [before: number, after: number];
  /** Px that are added behind it. */
  readonly outputPadding?: number;
}

/** A transposed convolution: the gradient of one with windows, by its input. */
export function transposed({
  kernel,
  stride,
  dilation = 1,
  padding: [before, after] = [0, 0],
  outputPadding = 0,
}: TransposedOptions): AxisStep {
  const extent = (kernel - 1) * dilation + 1;
  return {
    scale: fraction(1, stride),
    at: (length) => ({
      length: (length - 1) * stride + extent - before - after + outputPadding,
      first: (i) => Math.ceil((i + before - extent + 1) / stride),
      last: (i) => Math.floor((i + before) / stride),
      shift: -(centre(extent, stride) - before) / stride,
    }),
  };
}

/** Cuts px off at both ends; negative numbers add some, which are no px of the image. */
export function crop(before: number, after: number): AxisStep {
  return {
    scale: ONE,
    at: (length) => ({
      length: length - before - after,
      first: (i) => i + before,
      last: (i) => i + before,
      shift: before,
    }),
  };
}

/** Repeats each px, or divides it into as many by its channels. */
export function repeat(factor: number): AxisStep {
  return {
    scale: fraction(1, factor),
    at: (length) => ({
      length: length * factor,
      first: (i) => Math.floor(i / factor),
      last: (i) => Math.floor(i / factor),
      shift: 0,
    }),
  };
}

/** How far an interpolation reads from the px in front of a place, and behind it. */
export interface Reach {
  readonly front: number;
  readonly behind: number;
}

/**
 * Resizes by a fraction: the output's px `i` lies at `(i + 1/2) / factor − 1/2`, or at `i / factor`.
 * @param factor by which the map grows
 * @param reach 0 and 1 of a linear interpolation, 1 and 2 of a cubic one
 */
export function interpolation(factor: Rational, { front, behind }: Reach, isCentred: boolean): AxisStep {
  const { over, under } = factor;
  const place = (i: number): number =>
    isCentred ? Math.floor(((2 * i + 1) * under - over) / (2 * over)) : Math.floor((i * under) / over);
  return {
    scale: fraction(under, over),
    at: (length) => ({
      length: Math.floor((length * over) / under),
      first: (i) => place(i) - front,
      last: (i) => place(i) + behind,
      shift: 0,
    }),
  };
}
