import {
  broadcast,
  broadcastTo,
  type Constant,
  constant,
  gathered,
  intVector,
  permuted,
  sizeOf,
  stridesOf,
} from './constant.js';
import type { Attribute, OnnxNode } from './onnx-file.js';

/** Elements of a folded tensor, at most: weights have fewer, and shapes a handful. */
const MAX_ELEMENTS = 2 ** 26;

/** What a node of constants computes; null where this is not known, or would be too much. */
export function fold(node: OnnxNode, inputs: readonly (Constant | null)[]): Constant[] | null {
  const rule = Object.hasOwn(RULES, node.opType) ? RULES[node.opType] : undefined;
  if (!rule) return null;
  const results = [rule(inputs as Constant[], node)].flat();
  return results.every((result) => result !== null && sizeOf(result.dims) <= MAX_ELEMENTS)
    ? (results as Constant[])
    : null;
}

type Rule = (inputs: readonly Constant[], node: OnnxNode) => Constant | readonly Constant[] | null;

const attribute = ({ attributes }: OnnxNode, name: string): Attribute | undefined => attributes.get(name);
const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
const listOf = (x: Constant | null | undefined, ints: readonly number[] | undefined): number[] | null =>
  x ? Array.from(x.values) : ints ? [...ints] : null;

/** A shape, unless it is of more elements than any weight: two vectors may claim as many as their product. */
const bounded = (dims: number[] | null): number[] | null =>
  dims !== null && sizeOf(dims) <= MAX_ELEMENTS ? dims : null;

function binary(compute: (a: number, b: number) => number, type?: Constant['type']): Rule {
  return ([a, b]) => {
    const dims = bounded(broadcast(a!.dims, b!.dims));
    if (dims === null) return null;
    const [x, y] = [broadcastTo(a!, dims), broadcastTo(b!, dims)];
    return constant(
      type ?? a!.type,
      dims,
      Array.from(x.values, (value, i) => compute(value, y.values[i]!)),
    );
  };
}

function unary(compute: (x: number) => number): Rule {
  return ([x]) => constant(x!.type, x!.dims, Array.from(x!.values, compute));
}

/** Of integers, ONNX truncates quotients. */
const divide: Rule = (inputs, node) =>
  binary(inputs[0]!.type === 'float' ? (a, b) => a / b : (a, b) => Math.trunc(a / b))(inputs, node);

const reshaped = (x: Constant, dims: readonly number[]): Constant => ({ ...x, dims });

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

/** What a Slice takes of a tensor; its parameters are attributes up to version 9, and inputs later. */
export function takenBy(
  node: OnnxNode,
  inputs: readonly (Constant | null | undefined)[],
  dims: readonly number[],
): Taken[] | null {
  const ints = (name: string) => attribute(node, name)?.ints;
  const starts = listOf(inputs[1], ints('starts'));
  const ends = listOf(inputs[2], ints('ends'));
  if (starts === null || ends === null) return null;
  const axes = listOf(inputs[3], ints('axes')) ?? starts.map((_, i) => i);
  const steps = listOf(inputs[4], undefined) ?? starts.map(() => 1);
  return axes.map((each, i) => {
    const axis = axisOf(each, dims.length);
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

const slice: Rule = (inputs, node) => {
  const [x] = inputs as [Constant];
  const taken = takenBy(node, inputs, x.dims);
  if (taken === null) return null;
  const strides = stridesOf(x.dims);
  const dims = [...x.dims];
  let offset = 0;
  for (const { axis, start, end, step } of taken) {
    dims[axis] = Math.max(0, Math.ceil((end - start) / step));
    offset += start * strides[axis]!;
    strides[axis]! *= step;
  }
  return gathered(x, dims, strides, offset);
};

const gather: Rule = (inputs, node) => {
  const [x, indices] = inputs as [Constant, Constant];
  const axis = axisOf(attribute(node, 'axis')?.i ?? 0, x.dims.length);
  const moved = permuted(
    x,
    [axis, ...x.dims.keys()].filter((d, i) => i === 0 || d !== axis),
  );
  const row = sizeOf(moved.dims.slice(1));
  const rows = Array.from(indices.values, (index) => {
    const at = axisOf(index, x.dims[axis]!) * row;
    return Array.from(moved.values.subarray(at, at + row));
  });
  const stacked = constant(x.type, [...indices.dims, ...moved.dims.slice(1)], rows.flat());
  const rank = indices.dims.length;
  const rest = Array.from({ length: x.dims.length - 1 }, (_, d) => rank + d);
  const order = [...rest.slice(0, axis), ...Array.from({ length: rank }, (_, d) => d), ...rest.slice(axis)];
  return permuted(stacked, order);
};

const concat: Rule = (inputs, node) => {
  const axis = axisOf(attribute(node, 'axis')?.i ?? 0, inputs[0]!.dims.length);
  const order = [axis, ...inputs[0]!.dims.keys()].filter((d, i) => i === 0 || d !== axis);
  const moved = inputs.map((x) => permuted(x, order));
  const first = moved.reduce((sum, { dims }) => sum + dims[0]!, 0);
  const joined = constant(
    inputs[0]!.type,
    [first, ...moved[0]!.dims.slice(1)],
    moved.flatMap(({ values }) => Array.from(values)),
  );
  return permuted(
    joined,
    order.map((_, d) => order.indexOf(d)),
  );
};

const unsqueeze: Rule = ([x, axes], node) => {
  const list = listOf(axes, attribute(node, 'axes')?.ints)!;
  const rank = x!.dims.length + list.length;
  const added = new Set(list.map((axis) => axisOf(axis, rank)));
  let from = 0;
  return reshaped(
    x!,
    Array.from({ length: rank }, (_, d) => (added.has(d) ? 1 : x!.dims[from++]!)),
  );
};

const squeeze: Rule = ([x, axes], node) => {
  const list = listOf(axes, attribute(node, 'axes')?.ints);
  const removed = new Set(list?.map((axis) => axisOf(axis, x!.dims.length)));
  return reshaped(
    x!,
    x!.dims.filter((n, d) => (list === null ? n !== 1 : !removed.has(d))),
  );
};

const reduce =
  (compute: (values: readonly number[]) => number): Rule =>
  ([x, axes], node) => {
    const list = listOf(axes, attribute(node, 'axes')?.ints) ?? [...x!.dims.keys()];
    const reduced = new Set(list.map((axis) => axisOf(axis, x!.dims.length)));
    const kept = [...x!.dims.keys()].filter((d) => !reduced.has(d));
    const moved = permuted(x!, [...kept, ...reduced]);
    const each = sizeOf([...reduced].map((d) => x!.dims[d]!));
    const values = Array.from({ length: sizeOf(kept.map((d) => x!.dims[d]!)) }, (_, i) =>
      compute(Array.from(moved.values.subarray(i * each, (i + 1) * each))),
    );
    const keeps = (attribute(node, 'keepdims')?.i ?? 1) === 1;
    const dims = x!.dims.flatMap((n, d) => (!reduced.has(d) ? [n] : keeps ? [1] : []));
    return constant(x!.type, dims, values);
  };

const split: Rule = ([x, sizes], node) => {
  const axis = axisOf(attribute(node, 'axis')?.i ?? 0, x!.dims.length);
  const each =
    listOf(sizes, attribute(node, 'split')?.ints) ??
    node.outputs.map(() => x!.dims[axis]! / node.outputs.length);
  const strides = stridesOf(x!.dims);
  let from = 0;
  return each.map((length) => {
    const part = gathered(x!, x!.dims.with(axis, length), strides, from * strides[axis]!);
    from += length;
    return part;
  });
};

/** Types of `Cast` that are not rounded to integers. */
const FLOATS = new Set([1, 10, 11, 16]);
const BOOL = 9;

const same: Rule = ([x]) => x!;
const compare = (test: (a: number, b: number) => boolean): Rule =>
  binary((a, b) => Number(test(a, b)), 'bool');

const RULES: Readonly<Record<string, Rule>> = {
  Constant: (_inputs, node) => {
    const get = (name: string) => attribute(node, name);
    if (get('value')?.t) return get('value')!.t!;
    if (get('value_int')) return constant('int', [], [get('value_int')!.i!]);
    if (get('value_float')) return constant('float', [], [get('value_float')!.f!]);
    if (get('value_ints')) return intVector(get('value_ints')!.ints ?? []);
    const floats = get('value_floats')?.floats;
    return floats ? constant('float', [floats.length], floats) : null;
  },
  Identity: same,
  Dropout: same,
  Shape: ([x], node) => shapeOf(x!.dims, node),
  Size: ([x]) => constant('int', [], [sizeOf(x!.dims)]),
  Cast: ([x], node) => {
    const to = attribute(node, 'to')?.i ?? 1;
    if (FLOATS.has(to)) return constant('float', x!.dims, x!.values);
    if (to === BOOL)
      return constant(
        'bool',
        x!.dims,
        Array.from(x!.values, (v) => Number(v !== 0)),
      );
    return constant('int', x!.dims, Array.from(x!.values, Math.trunc));
  },
  Reshape: ([x, shape], node) =>
    reshaped(x!, requestedShape(x!.dims, Array.from(shape!.values), attribute(node, 'allowzero')?.i === 1)),
  Flatten: ([x], node) => {
    const axis = axisOf(attribute(node, 'axis')?.i ?? 1, x!.dims.length);
    return reshaped(x!, [sizeOf(x!.dims.slice(0, axis)), sizeOf(x!.dims.slice(axis))]);
  },
  Transpose: ([x], node) => permuted(x!, attribute(node, 'perm')?.ints ?? [...x!.dims.keys()].reverse()),
  Unsqueeze: unsqueeze,
  Squeeze: squeeze,
  Slice: slice,
  Split: split,
  Gather: gather,
  Concat: concat,
  Expand: ([x, shape]) => {
    const dims = bounded(broadcast(x!.dims, Array.from(shape!.values)));
    return dims && broadcastTo(x!, dims);
  },
  ConstantOfShape: ([shape], node) => {
    const value = attribute(node, 'value')?.t;
    const dims = Array.from(shape!.values);
    if (sizeOf(dims) > MAX_ELEMENTS) return null;
    return constant(
      value?.type ?? 'float',
      dims,
      new Array<number>(sizeOf(dims)).fill(value?.values[0] ?? 0),
    );
  },
  Range: ([start, limit, delta]) => {
    const [from, to, step] = [start!.values[0]!, limit!.values[0]!, delta!.values[0]!];
    const length = Math.max(0, Math.ceil((to - from) / step));
    if (!(length <= MAX_ELEMENTS)) return null;
    return constant(
      start!.type,
      [length],
      Array.from({ length }, (_, i) => from + i * step),
    );
  },
  Where: ([condition, a, b]) => {
    const dims = bounded(broadcast(condition!.dims, broadcast(a!.dims, b!.dims) ?? []));
    if (dims === null) return null;
    const [test, x, y] = [condition!, a!, b!].map((each) => broadcastTo(each, dims).values);
    return constant(
      a!.type,
      dims,
      Array.from(test!, (value, i) => (value !== 0 ? x![i]! : y![i]!)),
    );
  },
  Add: binary((a, b) => a + b),
  Sub: binary((a, b) => a - b),
  Mul: binary((a, b) => a * b),
  Div: divide,
  Mod: (inputs, node) =>
    binary(attribute(node, 'fmod')?.i === 1 ? (a, b) => a % b : (a, b) => ((a % b) + b) % b)(inputs, node),
  Pow: binary((a, b) => a ** b),
  Max: (inputs, node) =>
    inputs.slice(1).reduce((a, b) => binary(Math.max)([a, b], node) as Constant, inputs[0]!),
  Min: (inputs, node) =>
    inputs.slice(1).reduce((a, b) => binary(Math.min)([a, b], node) as Constant, inputs[0]!),
  Equal: compare((a, b) => a === b),
  Greater: compare((a, b) => a > b),
  GreaterOrEqual: compare((a, b) => a >= b),
  Less: compare((a, b) => a < b),
  LessOrEqual: compare((a, b) => a <= b),
  And: compare((a, b) => a !== 0 && b !== 0),
  Or: compare((a, b) => a !== 0 || b !== 0),
  Not: ([x]) =>
    constant(
      'bool',
      x!.dims,
      Array.from(x!.values, (v) => Number(v === 0)),
    ),
  Neg: unary((x) => -x),
  Abs: unary(Math.abs),
  Sqrt: unary(Math.sqrt),
  Reciprocal: unary((x) => 1 / x),
  Exp: unary(Math.exp),
  Log: unary(Math.log),
  Floor: unary(Math.floor),
  Ceil: unary(Math.ceil),
  Round: unary((x) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x))),
  ReduceProd: reduce((values) => values.reduce((a, b) => a * b, 1)),
  ReduceSum: reduce((values) => values.reduce((a, b) => a + b, 0)),
  ReduceMean: reduce((values) => values.reduce((a, b) => a + b, 0) / values.length),
  ReduceMax: reduce((values) => Math.max(...values)),
  ReduceMin: reduce((values) => Math.min(...values)),
  ReduceL2: reduce((values) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0))),
};

/** The shape of a tensor, or the part of it that a node requests. */
export function shapeOf(dims: readonly number[], node: OnnxNode): Constant {
  const { length } = dims;
  const within = (n: number) => Math.min(length, Math.max(0, axisOf(n, length)));
  const start = within(attribute(node, 'start')?.i ?? 0);
  const end = node.attributes.has('end') ? within(attribute(node, 'end')!.i!) : length;
  return intVector(dims.slice(start, end));
}
