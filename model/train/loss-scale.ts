import { z } from 'zod';
import { PrecisionError } from '../errors.js';

/** What a loss scale depends on: part of the state of a training in mixed precision. */
export const lossScaleSchema = z.object({
  /** A power of two, from 1. */
  scale: z.number().min(1),
  /** Steps in a row whose gradients were finite, since the scale last changed. */
  goodSteps: z.int().min(0),
});
export type LossScaleState = Readonly<z.infer<typeof lossScaleSchema>>;

const INITIAL: LossScaleState = { scale: 2 ** 16, goodSteps: 0 };
/** Steps after which a larger scale is tried. */
const GROWTH_STEPS = 2000;
/** Larger ones add nothing, and a loss of more than 1 must remain finite in 32 bits. */
const MAX_SCALE = 2 ** 24;

/**
 * Dynamic loss scaling (Micikevicius et al. 2018, section 3.2): the loss is multiplied before it is differentiated, so that
 * small gradients are no zeros in 16 bits. A step with gradients that are infinite or NaN is skipped, and the scale is
 * halved; after 2,000 good steps it is doubled.
 */
export class LossScale {
  #state = INITIAL;

  get state(): LossScaleState {
    return this.#state;
  }

  /** The number that the loss is multiplied by. */
  get value(): number {
    return this.#state.scale;
  }

  /** @param state null for that of a training that starts */
  restore(state: LossScaleState | null): void {
    this.#state = state ?? INITIAL;
  }

  /**
   * Adapts the scale to the gradients of a step.
   * @returns the factor that the gradients are to be multiplied by; null where the step is to be skipped
   * @throws PrecisionError where they are not finite although the loss is not scaled any more
   */
  adapt(gradients: readonly Float32Array[]): number | null {
    const { scale, goodSteps } = this.#state;
    if (!gradients.every(areFinite)) {
      if (scale === 1) {
        throw new PrecisionError(
          'the gradients exceed what --precision fp16 holds, or the training diverges: choose fp32, or a lower learning rate',
        );
      }
      this.#state = { scale: scale / 2, goodSteps: 0 };
      return null;
    }
    const isGrown = goodSteps + 1 === GROWTH_STEPS;
    this.#state = isGrown
      ? { scale: Math.min(MAX_SCALE, scale * 2), goodSteps: 0 }
      : { scale, goodSteps: goodSteps + 1 };
    return 1 / scale;
  }
}

function areFinite(values: Float32Array): boolean {
  for (const value of values) if (value - value !== 0) return false;
  return true;
}
