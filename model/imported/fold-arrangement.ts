import {
  broadcast,
  broadcastTo,
  type Constant,
  constant,
  filled,
  gathered,
  intVector,
  permuted,
  sizeOf,
  stridesOf,
} from './constant.js';
import { allowed, axesWithin, type Rule, reshaped, unfoldable } from './fold-rule.js';
import { attribute, listOf, partsOf, requestedShape, shapeOf, takenBy } from './shapes.js';

const slice: Rule = (inputs, node) => {
  const [x] = inputs as [Constant];
  const taken = takenBy(node, inputs, x.dims) ?? unfoldable();
  const strides = stridesOf(x.dims);
  const dims = [...x.dims];
  let offset = 0;
  for (const { axis, start, end, step } of taken) {
    dims[axis] = Math.max(0, Math.ceil((end - start) / step));
    offset += start * strides[axis]!;
    strides[axis]! *= step;
  }
  return gathered(x, allowed(dims), strides, offset);
};

const gather: Rule = ([x, indices], node) => {
  const { dims, values, type } = x!;
  const [axis] = axesWithin([attribute(node, 'axis')?.i ?? 0], dims.length) as [number];
  const length = dims[axis]!;
  if (
    !indices!.values.every((index: number) => Number.isInteger(index) && index >= -length && index < length)
  )
    unfoldable();
  const row = sizeOf(dims.slice(axis + 1));
  const result = zeros(type, [...dims.slice(0, axis), ...indices!.dims, ...dims.slice(axis + 1)]);
  for (let at = 0, before = 0; at < result.values.length; before += length * row) {
    for (const index of indices!.values) {
      const from = before + (index < 0 ? index + length : index) * row;
      result.values.set(values.subarray(from, from + row), at);
      at += row;
    }
  }
  return result;
};

const concat: Rule = (inputs, node) => {
  const [{ dims, type }] = inputs as [Constant];
  const [axis] = axesWithin([attribute(node, 'axis')?.i ?? 0], dims.length) as [number];
  const fits = (each: Constant) =>
    each.dims.length === dims.length && each.dims.with(axis, 1).join() === dims.with(axis, 1).join();
  if (!inputs.every(fits)) unfoldable();
  const total = inputs.reduce((sum, each) => sum + each.dims[axis]!, 0);
  const result = zeros(type, dims.with(axis, total));
  for (let at = 0, row = 0; at < result.values.length; row++) {
    for (const each of inputs) {
      const length = sizeOf(each.dims.slice(axis));
      result.values.set(each.values.subarray(row * length, (row + 1) * length), at);
      at += length;
    }
  }
  return result;
};

const zeros = (type: Constant['type'], dims: readonly number[]): Constant =>
  filled(type, allowed(dims), () => 0);

const split: Rule = ([x, sizes], node) => {
  const [axis] = axesWithin([attribute(node, 'axis')?.i ?? 0], x!.dims.length) as [number];
  const strides = stridesOf(x!.dims);
  let from = 0;
  return (partsOf(node, sizes, x!.dims[axis]!) ?? unfoldable()).map((length) => {
    const part = gathered(x!, x!.dims.with(axis, length), strides, from * strides[axis]!);
    from += length;
    return part;
  });
};

const unsqueeze: Rule = ([x, axes], node) => {
  const list = listOf(axes, attribute(node, 'axes')?.ints) ?? unfoldable();
  const rank = x!.dims.length + list.length;
  const added = new Set(axesWithin(list, rank));
  let from = 0;
  return reshaped(
    x!,
    Array.from({ length: rank }, (_, d) => (added.has(d) ? 1 : x!.dims[from++]!)),
  );
};

const squeeze: Rule = ([x, axes], node) => {
  const list = listOf(axes, attribute(node, 'axes')?.ints);
  const removed = new Set(list && axesWithin(list, x!.dims.length));
  return reshaped(
    x!,
    x!.dims.filter((n, d) => (list === null ? n !== 1 : !removed.has(d))),
  );
};

const same: Rule = ([x]) => x!;

/** Rules that make constants, and rearrange them. */
export const arrangement: Readonly<Record<string, Rule>> = {
  Constant: (_inputs, node) => {
    const get = (name: string) => attribute(node, name);
    if (get('value')?.t) return get('value')!.t!;
    if (get('value_int')) return constant('int', [], [get('value_int')!.i!]);
    if (get('value_float')) return constant('float', [], [get('value_float')!.f!]);
    if (get('value_ints')) return intVector(get('value_ints')!.ints ?? []);
    const floats = get('value_floats')?.floats;
    return floats ? constant('float', [floats.length], floats) : unfoldable();
  },
  ConstantOfShape: ([shape], node) => {
    const value = attribute(node, 'value')?.t;
    return filled(value?.type ?? 'float', allowed(Array.from(shape!.values)), () => value?.values[0] ?? 0);
  },
  Identity: same,
  Dropout: same,
  Shape: ([x], node) => shapeOf(x!.dims, node),
  Size: ([x]) => constant('int', [], [sizeOf(x!.dims)]),
  Reshape: ([x, shape], node) =>
    reshaped(x!, requestedShape(x!.dims, Array.from(shape!.values), attribute(node, 'allowzero')?.i === 1)),
  Flatten: ([x], node) => {
    const { dims } = x!;
    const axis = attribute(node, 'axis')?.i ?? 1;
    return reshaped(x!, [sizeOf(dims.slice(0, axis)), sizeOf(dims.slice(axis))]);
  },
  Transpose: ([x], node) => {
    const order = axesWithin(attribute(node, 'perm')?.ints ?? [...x!.dims.keys()].reverse(), x!.dims.length);
    return order.length === x!.dims.length ? permuted(x!, order) : unfoldable();
  },
  Unsqueeze: unsqueeze,
  Squeeze: squeeze,
  Slice: slice,
  Split: split,
  Gather: gather,
  Concat: concat,
  Expand: ([x, shape]) => broadcastTo(x!, allowed(broadcast(x!.dims, Array.from(shape!.values)))),
};
