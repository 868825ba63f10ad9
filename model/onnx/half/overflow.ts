import type * as ort from 'onnxruntime-node';
import { PrecisionError } from '../../errors.js';
import { ElementType } from '../proto.js';
import { MAX_HALF } from './float16.js';
import type { HalfWriter } from './half-writer.js';

/** The output of a frozen graph that is above 0 where numbers of 16 bits did not suffice. */
export const OVERFLOW = 'overflow';

/**
 * Whether a value that left the 16 bits is too great: by comparisons, which devices compute as they are specified.
 * @returns the name of a flag that is above 0 where one is
 */
export function overflowOf(writer: HalfWriter): string {
  const limit = writer.constant('float32', Float32Array.of(MAX_HALF));
  const flags = writer.widened.map((name) => {
    const fits = writer.op('Less', [writer.op('Abs', [name]), limit]);
    const flag = writer.op('Cast', [writer.op('Not', [fits])], { to: ElementType.float32 });
    return writer.op('ReduceMax', [flag], { keepdims: 0 });
  });
  return flags.reduce((sum, flag) => writer.op('Add', [sum, flag]));
}

/**
 * Refuses the results of a graph whose numbers exceeded 16 bits.
 * @throws PrecisionError
 */
export function refuseOverflow(results: ort.InferenceSession.OnnxValueMapType): void {
  const flag = results[OVERFLOW]?.data as Float32Array | undefined;
  if (flag === undefined || flag[0] === 0) return;
  throw new PrecisionError(
    `the network computed a number above ${MAX_HALF}, which --precision fp16 does not hold: choose fp32`,
  );
}
