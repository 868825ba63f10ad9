import tf = require('@tensorflow/tfjs-core');

import type { Operator, Output } from '../operator.js';
import type { ElementName } from '../proto.js';
import { BLOCKED, NCHW, type Value } from '../value.js';
import type { GraphWriter } from '../writer.js';
import { deferred } from './deferred.js';
import { DeferredConvolution } from './deferred-conv.js';
import { InputGradient } from './input-gradient.js';
import { type Kernel, kernel, type Tensors } from './kernel.js';
import { UpConvolution } from './up-convolution.js';

/** Writes the nodes for inputs that broadcast against each other; returns the name of the result. */
type Formula<A extends object = object> = (g: GraphWriter, x: readonly string[], attributes: A) => string;

/** The tensor of a deferred convolution that includes a function of it and others; null where it cannot. */
type Absorb = (g: GraphWriter, inputs: readonly Value[], output: Output) => Value | null;

/** A ReLU becomes part of a convolution. */
const absorbRelu: Absorb = (g, [x], output) =>
  x!.origin instanceof DeferredConvolution ? x!.origin.activate(g, output) : null;

/** A bias becomes part of an up-convolution. */
const absorbBias: Absorb = (g, [x, bias], output) => {
  const isBias = bias!.isPerChannel && bias!.channels === x!.channels;
  if (!(x!.origin instanceof UpConvolution) || !isBias) return null;
  const biased = x!.origin.biased(g.op('Reshape', [bias!.plain, g.ints([-1])]));
  return biased && deferred(g, output, biased);
};

/** An image in blocks becomes part of the convolution whose gradient is added to it. */
const absorbImage: Absorb = (g, [a, b], output) => {
  const [gradient, image] = b!.origin instanceof InputGradient ? [b!, a!] : [a!, b!];
  if (!(gradient.origin instanceof InputGradient) || !image.isBlockedLike(gradient)) return null;
  const { name, layout } = gradient.origin.addedTo(g, image);
  return output.value(name, layout);
};

/** A bias, or an image, becomes part of a convolution. */
const absorbTerm: Absorb = (g, inputs, output) =>
  absorbBias(g, inputs, output) ?? absorbImage(g, inputs, output);

/**
 * An operator that computes each element from the elements at the same place, with broadcasting.
 * It works in NCHW as soon as one of its images exists only there.
 *
 * @param compute the type that it computes in, to which its inputs are cast; null for theirs
 * @param absorb makes it part of a convolution that is not written yet. Default: it never is
 */
export function elementwise<A extends object = object>(
  name: string,
  compute: ElementName | null,
  formula: Formula<A>,
  absorb: Absorb = () => null,
): Operator<A, readonly Value[]> {
  return {
    name,
    emit(g, inputs, attributes, output) {
      const absorbed = absorb(g, inputs, output);
      if (absorbed !== null) return absorbed;
      const isTyped = (v: Value) => compute === null || v.dtype === compute;
      if (output.rank === 4 && inputs.every((v) => isTyped(v) && v.isBlockedLike(inputs[0]!))) {
        const blocks = inputs.map((v) => v.as(BLOCKED));
        return output.value(formula(g, blocks, attributes), BLOCKED);
      }
      const isNchw = output.rank === 4 && inputs.some((v) => v.rank === 4 && v.has(NCHW) && !v.has(NHWC));
      const names = inputs.map((v) => {
        const x = isNchw ? broadcastToNchw(g, v) : v.plain;
        return isTyped(v) ? x : g.cast(x, compute!);
      });
      return output.value(formula(g, names, attributes), isNchw ? NCHW : undefined);
    },
  };
}

const NHWC = [0, 1, 2, 3];

/** A tensor of rank up to 4 as one that broadcasts against NCHW. */
function broadcastToNchw(g: GraphWriter, v: Value): string {
  if (v.rank === 4) return v.as(NCHW);
  if (v.rank === 0) return v.plain;
  const missing = Array.from({ length: 4 - v.rank }, (_, i) => i);
  return g.op('Transpose', [g.op('Unsqueeze', [v.plain, g.ints(missing)])], { perm: NCHW });
}

const call =
  (opType: string): Formula =>
  (g, x) =>
    g.op(opType, x);

/** Float functions of one tensor; integers are cast to float first, as TensorFlow.js does. */
const floatUnary: Record<string, Formula> = {
  Ceil: call('Ceil'),
  Erf: call('Erf'),
  Exp: call('Exp'),
  Floor: call('Floor'),
  Log: call('Log'),
  Log1p: (g, [x]) => g.op('Log', [g.op('Add', [x!, g.scalar(1)])]),
  Reciprocal: call('Reciprocal'),
  Round: call('Round'),
  Rsqrt: (g, [x]) => g.op('Reciprocal', [g.op('Sqrt', [x!])]),
  Sigmoid: call('Sigmoid'),
  Softplus: call('Softplus'),
  Sqrt: call('Sqrt'),
  Tanh: call('Tanh'),
};

/** Functions of one tensor whose results have its type. */
const sameTypeUnary: Record<string, Formula> = {
  Abs: call('Abs'),
  Neg: call('Neg'),
  Sign: call('Sign'),
  Square: (g, [x]) => g.op('Mul', [x!, x!]),
};

function unary(name: string, compute: ElementName | null, formula: Formula, absorb?: Absorb): Kernel {
  const operator = elementwise(name, compute, formula, absorb);
  return kernel<Tensors<'x'>>(name, ({ inputs: { x }, backend }) =>
    backend.record(operator, [x], {}, x.shape, compute ?? x.dtype),
  );
}

function binary(
  name: string,
  formula: Formula,
  {
    absorb,
    ...types
  }: { readonly compute?: ElementName; readonly output?: ElementName; readonly absorb?: Absorb } = {},
): Kernel {
  const operators = new Map<ElementName, ReturnType<typeof elementwise>>();
  return kernel<Tensors<'a' | 'b'>>(name, ({ inputs: { a, b }, backend }) => {
    const common = tf.upcastType(a.dtype, b.dtype) as ElementName;
    const compute = types.compute ?? (common === 'bool' ? 'int32' : common);
    let operator = operators.get(compute);
    if (!operator) {
      operator = elementwise(`${name}:${compute}`, compute, formula, absorb);
      operators.set(compute, operator);
    }
    const shape = tf.broadcast_util.assertAndGetBroadcastShape(a.shape, b.shape);
    return backend.record(operator, [a, b], {}, shape, types.output ?? compute);
  });
}

const compared = (name: string, opType = name): Kernel => binary(name, call(opType), { output: 'bool' });
const logical = (name: string, opType: string): Kernel =>
  binary(name, call(opType), { compute: 'bool', output: 'bool' });

const addN = elementwise('AddN', null, (g, [first, ...rest]) =>
  rest.reduce((sum, x) => g.op('Add', [sum, x]), first!),
);

/**
 * The slope of ReLU: a hard sigmoid that is too steep for any value but 0 or 1, since comparing and selecting are two
 * slow passes in ONNX Runtime.
 */
const slope = elementwise<{ readonly alpha: number }>('Step', 'float32', (g, [x], { alpha }) =>
  alpha === 0
    ? g.op('HardSigmoid', [g.written('Relu', [x!]) ?? x!], { alpha: { float: 3e38 }, beta: { float: 0 } })
    : g.op('Where', [g.op('Greater', [x!, g.scalar(0)]), g.scalar(1), g.scalar(alpha)]),
);

/** The slope of a ReLU is computed from its result, where there is one, so that its argument is never written. */
const step: typeof slope = {
  ...slope,
  emit(g, [x], attributes, output) {
    const activated = x!.origin instanceof DeferredConvolution ? x!.origin.activated : null;
    return slope.emit(g, [attributes.alpha === 0 && activated !== null ? activated : x!], attributes, output);
  },
};

const clip = elementwise<{ readonly min: number; readonly max: number }>(
  'ClipByValue',
  'float32',
  (g, [x], { min, max }) => g.op('Clip', [x!, g.scalar(min), g.scalar(max)]),
);

/** Scales what is below 0. */
const leakyRelu = elementwise<tf.LeakyReluAttrs>('LeakyRelu', 'float32', (g, [x], { alpha }) =>
  g.op('LeakyRelu', [x!], { alpha: { float: alpha } }),
);

/** The same by a number for each channel, which is learnt. */
const prelu = elementwise('Prelu', 'float32', call('PRelu'));

const not = elementwise('LogicalNot', 'bool', call('Not'));

/** Selects by a condition; one of rank 1 selects along the first dimension of tensors of higher rank. */
const select: Operator<object, readonly [condition: Value, t: Value, e: Value]> = {
  name: 'Select',
  emit(g, [condition, t, e], _attributes, output) {
    const missing = Array.from({ length: output.rank - condition.rank }, (_, i) => i + condition.rank);
    const mask =
      missing.length === 0 ? condition.plain : g.op('Unsqueeze', [condition.plain, g.ints(missing)]);
    return output.value(g.op('Where', [mask, t.plain, e.plain]));
  },
};

export const elementwiseKernels: readonly Kernel[] = [
  ...Object.entries(floatUnary).map(([name, formula]) => unary(name, 'float32', formula)),
  ...Object.entries(sameTypeUnary).map(([name, formula]) => unary(name, null, formula)),
  unary('Relu', null, call('Relu'), absorbRelu),
  binary('Add', call('Add'), { absorb: absorbTerm }),
  binary('Sub', call('Sub')),
  binary('Multiply', call('Mul')),
  binary('RealDiv', call('Div'), { compute: 'float32' }),
  binary('Maximum', call('Max')),
  binary('Minimum', call('Min')),
  binary('Pow', call('Pow')),
  binary('SquaredDifference', (g, x) => {
    const difference = g.op('Sub', x);
    return g.op('Mul', [difference, difference]);
  }),
  compared('Equal'),
  binary('NotEqual', (g, x) => g.op('Not', [g.op('Equal', x)]), { output: 'bool' }),
  compared('Greater'),
  compared('GreaterEqual', 'GreaterOrEqual'),
  compared('Less'),
  compared('LessEqual', 'LessOrEqual'),
  logical('LogicalAnd', 'And'),
  logical('LogicalOr', 'Or'),
  kernel<Tensors<'x'>>('LogicalNot', ({ inputs: { x }, backend }) =>
    backend.record(not, [x], {}, x.shape, 'bool'),
  ),
  kernel<Tensors>('AddN', ({ inputs, backend }) => {
    const terms = Object.values(inputs);
    return backend.record(addN, terms, {}, terms[0]!.shape, terms[0]!.dtype);
  }),
  kernel<Tensors<'x'>, tf.StepAttrs>('Step', ({ inputs: { x }, attrs: { alpha }, backend }) =>
    backend.record(step, [x], { alpha }, x.shape, 'float32'),
  ),
  kernel<Tensors<'x'>, tf.ClipByValueAttrs>(
    'ClipByValue',
    ({ inputs: { x }, attrs: { clipValueMin: min, clipValueMax: max }, backend }) =>
      backend.record(clip, [x], { min, max }, x.shape, 'float32'),
  ),
  kernel<Tensors<'x'>, tf.LeakyReluAttrs>('LeakyRelu', ({ inputs: { x }, attrs: { alpha }, backend }) =>
    backend.record(leakyRelu, [x], { alpha }, x.shape, 'float32'),
  ),
  kernel<Tensors<'x' | 'alpha'>>('Prelu', ({ inputs: { x, alpha }, backend }) =>
    backend.record(prelu, [x, alpha], {}, x.shape, 'float32'),
  ),
  kernel<Tensors<'condition' | 't' | 'e'>>('Select', ({ inputs: { condition, t, e }, backend }) =>
    backend.record(select, [condition, t, e], {}, t.shape, tf.upcastType(t.dtype, e.dtype)),
  ),
];
