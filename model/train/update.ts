import { add, constant, div, LoopWriter, mul, sqrt, sub, type Vector } from './vector-loop.js';

export const BETA1 = 0.9;
export const BETA2 = 0.999;

/**
 * Added to a moment and subtracted again, it leaves no float below the smallest normal one, 2^-126: sums of this size are
 * multiples of it. The moments of a dead filter would decay through smaller floats, with which a CPU computes some hundred
 * times slower.
 */
const ROUNDING = constant(1.5 * 2 ** -103);
const flushed = (moment: Vector): Vector => sub(add(moment, ROUNDING), ROUNDING);

/**
 * SGD with momentum, on weights, gradients and momenta. `factor` multiplies gradients.
 */
export function sgdLoop(): LoopWriter<'factor' | 'rate' | 'momentum'> {
  const loop = new LoopWriter(3, ['factor', 'rate', 'momentum']);
  const [weights, gradients, momenta] = [0, 1, 2];
  const gradient = mul(loop.load(gradients), loop.scalar('factor'));
  const next = loop.assign(add(mul(loop.load(momenta), loop.scalar('momentum')), gradient));
  loop.store(weights, sub(loop.load(weights), mul(next, loop.scalar('rate'))));
  loop.store(momenta, flushed(next));
  return loop;
}

/**
 * Adam, on weights, gradients, first and second moments. `factor` multiplies gradients; `decay` is the share of weights
 * that is subtracted: their product with `1 - decay` would lose a small one to rounding.
 */
export function adamLoop(): LoopWriter<'factor' | 'rate' | 'epsilon' | 'decay'> {
  // all loads precede the stores: a load at the offset of a pending store within its page would wait for it (4K aliasing)
  const loop = new LoopWriter(4, ['factor', 'rate', 'epsilon', 'decay']);
  const [weights, gradients, means, squares] = [0, 1, 2, 3];
  const approach = (moment: Vector, value: Vector, beta: number) =>
    loop.assign(add(moment, mul(sub(value, moment), constant(1 - beta))));
  const gradient = loop.assign(mul(loop.load(gradients), loop.scalar('factor')));
  const mean = approach(loop.assign(loop.load(means)), gradient, BETA1);
  const square = approach(loop.assign(loop.load(squares)), mul(gradient, gradient), BETA2);
  const step = div(mul(mean, loop.scalar('rate')), add(sqrt(square), loop.scalar('epsilon')));
  const weight = loop.assign(loop.load(weights));
  loop.store(weights, sub(weight, add(mul(weight, loop.scalar('decay')), step)));
  loop.store(means, flushed(mean));
  loop.store(squares, flushed(square));
  return loop;
}
