import { broadcast, broadcastTo, type Constant, filled, permuted, sizeOf } from './constant.js';
import { allowed, axesWithin, type Rule, unfoldable } from './fold-rule.js';
import { attribute, listOf } from './shapes.js';

function binary(compute: (a: number, b: number) => number, type?: Constant['type']): Rule {
  return (inputs) => combined(inputs, compute, type);
}

function combined(
  [a, b]: readonly Constant[],
  compute: (a: number, b: number) => number,
  type: Constant['type'] = a!.type,
): Constant {
  const dims = allowed(broadcast(a!.dims, b!.dims));
  const [x, y] = [broadcastTo(a!, dims).values, broadcastTo(b!, dims).values];
  return filled(type, dims, (i) => compute(x[i]!, y[i]!));
}

function unary(compute: (x: number) => number): Rule {
  return ([x]) => filled(x!.type, x!.dims, (i) => compute(x!.values[i]!));
}

const variadic =
  (compute: (a: number, b: number) => number): Rule =>
  (inputs) =>
    inputs.reduce((a, b) => combined([a, b], compute));

const compare = (test: (a: number, b: number) => boolean): Rule =>
  binary((a, b) => Number(test(a, b)), 'bool');

/** A function of numbers, one after the other: from `start`, by `step`, and then by `finish`. */
const reduce =
  (
    start: number,
    step: (result: number, value: number) => number,
    finish: (result: number, count: number) => number = (result) => result,
  ): Rule =>
  ([x, axes], node) => {
    const { dims } = x!;
    const stated = listOf(axes, attribute(node, 'axes')?.ints) ?? [];
    if (stated.length === 0 && attribute(node, 'noop_with_empty_axes')?.i === 1) return x!;
    const reduced = axesWithin(stated.length > 0 ? stated : [...dims.keys()], dims.length);
    const kept = [...dims.keys()].filter((d) => !reduced.includes(d));
    const moved = permuted(x!, [...kept, ...reduced]).values;
    const each = sizeOf(reduced.map((d) => dims[d]!));
    const keeps = (attribute(node, 'keepdims')?.i ?? 1) === 1;
    const result = dims.flatMap((n, d) => (!reduced.includes(d) ? [n] : keeps ? [1] : []));
    return filled(x!.type, allowed(result), (i) => {
      let total = start;
      for (let k = i * each; k < (i + 1) * each; k++) total = step(total, moved[k]!);
      return finish(total, each);
    });
  };

const plus = (a: number, b: number): number => a + b;

/** Types of `Cast` that are not rounded to integers. */
const FLOATS: readonly number[] = [1, 10, 11, 16];
const INTEGERS: readonly number[] = [2, 3, 4, 5, 6, 7, 12, 13];
const BOOL = 9;

/** Rules that compute numbers. */
export const arithmetic: Readonly<Record<string, Rule>> = {
  Cast: ([x], node) => {
    const to = attribute(node, 'to')?.i ?? 1;
    const { dims, values } = x!;
    if (FLOATS.includes(to)) return filled('float', dims, (i) => values[i]!);
    if (INTEGERS.includes(to)) return filled('int', dims, (i) => Math.trunc(values[i]!));
    return to === BOOL ? filled('bool', dims, (i) => Number(values[i] !== 0)) : unfoldable();
  },
  Range: ([start, limit, delta]) => {
    const [from, to, step] = [start!.values[0]!, limit!.values[0]!, delta!.values[0]!];
    const dims = allowed([Math.max(0, Math.ceil((to - from) / step))]);
    return filled(start!.type, dims, (i) => from + i * step);
  },
  Where: ([condition, a, b]) => {
    const both = broadcast(a!.dims, b!.dims);
    const dims = allowed(both && broadcast(condition!.dims, both));
    const [test, x, y] = [condition!, a!, b!].map((each) => broadcastTo(each, dims).values);
    return filled(a!.type, dims, (i) => (test![i] !== 0 ? x![i]! : y![i]!));
  },
  Add: binary(plus),
  Sub: binary((a, b) => a - b),
  Mul: binary((a, b) => a * b),
  // of integers, ONNX truncates quotients
  Div: (inputs) =>
    combined(inputs, inputs[0]!.type === 'float' ? (a, b) => a / b : (a, b) => Math.trunc(a / b)),
  Mod: (inputs, node) =>
    combined(inputs, attribute(node, 'fmod')?.i === 1 ? (a, b) => a % b : (a, b) => ((a % b) + b) % b),
  Pow: binary((a, b) => a ** b),
  Max: variadic(Math.max),
  Min: variadic(Math.min),
  Equal: compare((a, b) => a === b),
  Greater: compare((a, b) => a > b),
  GreaterOrEqual: compare((a, b) => a >= b),
  Less: compare((a, b) => a < b),
  LessOrEqual: compare((a, b) => a <= b),
  And: compare((a, b) => a !== 0 && b !== 0),
  Or: compare((a, b) => a !== 0 || b !== 0),
  Not: ([x]) => filled('bool', x!.dims, (i) => Number(x!.values[i] === 0)),
  Neg: unary((x) => -x),
  Abs: unary(Math.abs),
  Sqrt: unary(Math.sqrt),
  Reciprocal: unary((x) => 1 / x),
  Exp: unary(Math.exp),
  Log: unary(Math.log),
  Floor: unary(Math.floor),
  Ceil: unary(Math.ceil),
  Round: unary((x) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x))),
  ReduceProd: reduce(1, (a, b) => a * b),
  ReduceSum: reduce(0, plus),
  ReduceMean: reduce(0, plus, (total, count) => total / count),
  ReduceMax: reduce(Number.NEGATIVE_INFINITY, Math.max),
  ReduceMin: reduce(Number.POSITIVE_INFINITY, Math.min),
  ReduceL2: reduce(0, (total, x) => total + x * x, Math.sqrt),
};
