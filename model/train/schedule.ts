/** How the learning rate runs over a training. */
export const SCHEDULES = ['constant', 'step', 'cosine', 'one-cycle'] as const;

export interface ScheduleConfig {
  readonly kind: (typeof SCHEDULES)[number];
  /** The rate that the optimiser is given, or the largest that it is given; positive. */
  readonly learningRate: number;
  /** Of `step`: the rate is multiplied by `stepFactor` after each `stepEpochs` epochs. */
  readonly stepEpochs: number;
  readonly stepFactor: number;
}

/** One-cycle: the share of steps in which the rate rises, where it starts, and where it ends. */
const RISE = 0.3;
const START = 1 / 25;
const END = 1e-4;

/**
 * The learning rate of a step. One-cycle after Smith and Topin (2019), with cosines for both slopes.
 *
 * @param step counted from 0
 * @param total steps of the whole training
 */
export function learningRateAt(
  config: ScheduleConfig,
  step: number,
  total: number,
  epochSteps: number,
): number {
  const { kind, learningRate: top, stepEpochs, stepFactor } = config;
  const between = (from: number, to: number, share: number) =>
    to + (from - to) * 0.5 * (1 + Math.cos(Math.PI * Math.min(1, share)));
  switch (kind) {
    case 'constant':
      return top;
    case 'step':
      return top * stepFactor ** Math.floor(step / epochSteps / stepEpochs);
    case 'cosine':
      return between(top, 0, step / total);
    case 'one-cycle': {
      const peak = RISE * total;
      if (step < peak) return between(top * START, top, step / peak);
      return between(top, top * END, (step - peak) / (total - peak));
    }
  }
}
