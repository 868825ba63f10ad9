/** Schedules of the learning rate. */
export const SCHEDULES = ['constant', 'step', 'cosine', 'one-cycle'] as const;

export interface ScheduleConfig {
  readonly kind: (typeof SCHEDULES)[number];
  /** The learning rate, or the peak of the schedule; positive, such as 1e-3. */
  readonly learningRate: number;
  /** Schedule `step`: epochs between its steps, at least 1; such as 10. */
  readonly stepEpochs: number;
  /** Schedule `step`: factor of the rate at each step; positive, such as 0.1. */
  readonly stepFactor: number;
}

/** One-cycle: the share of steps in which the rate rises, and the first and last rate as shares of the peak. */
const RISE = 0.3;
const START = 1 / 25;
const END = 1e-4;

/**
 * The learning rate of a step. One-cycle after Smith and Topin (2019), with cosine annealing in both phases.
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
