/** A tensor whose values are known: a weight, a shape, an index. Integers are exact up to 2^53. */
export interface Constant {
  readonly dims: readonly number[];
  readonly type: 'float' | 'int' | 'bool';
  /** In the order of `dims`, the last one fastest. */
  readonly values: Float32Array | Float64Array;
}

export const sizeOf = (dims: readonly number[]): number => dims.reduce((product, n) => product * n, 1);

/** A constant of the type's own array. */
export function constant(
  type: Constant['type'],
  dims: readonly number[],
  values: ArrayLike<number>,
): Constant {
  return { type, dims, values: type === 'float' ? Float32Array.from(values) : Float64Array.from(values) };
}

/** A constant whose values are computed from their index. */
export function filled(
  type: Constant['type'],
  dims: readonly number[],
  compute: (i: number) => number,
): Constant {
  const length = sizeOf(dims);
  const values = type === 'float' ? new Float32Array(length) : new Float64Array(length);
  for (let i = 0; i < length; i++) values[i] = compute(i);
  return { dims, type, values };
}

/** A vector of integers, such as a shape. */
export const intVector = (values: readonly number[]): Constant => constant('int', [values.length], values);

/** How far apart neighbours along each dimension lie. */
export function stridesOf(dims: readonly number[]): number[] {
  const strides = dims.map(() => 1);
  for (let d = dims.length - 2; d >= 0; d--) strides[d] = strides[d + 1]! * dims[d + 1]!;
  return strides;
}

/** The shape that two shapes broadcast to; null where they do not. */
export function broadcast(a: readonly number[], b: readonly number[]): number[] | null {
  const rank = Math.max(a.length, b.length);
  const dims: number[] = [];
  for (let d = 0; d < rank; d++) {
    const [m, n] = [a[d - rank + a.length] ?? 1, b[d - rank + b.length] ?? 1];
    if (m !== n && m !== 1 && n !== 1) return null;
    dims.push(m === 1 ? n : m);
  }
  return dims;
}

/**
 * The values of a constant under a larger shape that it broadcasts to.
 */
export function broadcastTo({ dims, values, type }: Constant, target: readonly number[]): Constant {
  const from = stridesOf(dims);
  const missing = target.length - dims.length;
  const own = target.map((_, d) => (d < missing || dims[d - missing] === 1 ? 0 : from[d - missing]!));
  return gathered({ dims, values, type }, target, own, 0);
}

/** Values at `offset + Σ index · strides` of each index of a shape. */
export function gathered(
  { values, type }: Constant,
  dims: readonly number[],
  strides: readonly number[],
  offset: number,
): Constant {
  const length = sizeOf(dims);
  const result = type === 'float' ? new Float32Array(length) : new Float64Array(length);
  const index = dims.map(() => 0);
  let at = offset;
  for (let i = 0; i < length; i++) {
    result[i] = values[at]!;
    for (let d = dims.length - 1; d >= 0; d--) {
      at += strides[d]!;
      if (++index[d]! < dims[d]!) break;
      at -= strides[d]! * dims[d]!;
      index[d] = 0;
    }
  }
  return { dims, type, values: result };
}

/** A constant with its dimensions in another order. */
export function permuted(x: Constant, perm: readonly number[]): Constant {
  const strides = stridesOf(x.dims);
  return gathered(
    x,
    perm.map((d) => x.dims[d]!),
    perm.map((d) => strides[d]!),
    0,
  );
}
