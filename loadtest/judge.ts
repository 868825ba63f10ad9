import { z } from 'zod';
import type { Bound } from './scenarios/scenario.js';

/** Whether a ratio is within its bounds. */
export interface Judged {
  readonly what: string;
  readonly value: number;
  readonly bound: string;
  readonly holds: boolean;
}

/** Compares ratios with their bounds; a bound of a ratio that was not measured does not hold. */
export function judgeThresholds(
  ratios: Readonly<Record<string, number>>,
  bounds: Readonly<Record<string, Bound>>,
): Judged[] {
  return Object.entries(bounds).map(([what, { least, most }]) => {
    const value = ratios[what] ?? Number.NaN;
    const isLow = least !== undefined && !(value >= least);
    const isHigh = most !== undefined && !(value <= most);
    const words = [least !== undefined && `at least ${least}`, most !== undefined && `at most ${most}`];
    return { what, value, bound: words.filter(Boolean).join(', '), holds: !isLow && !isHigh };
  });
}

/** Ratios of an earlier run, by scenario. */
export const baselineSchema = z.record(z.string(), z.record(z.string(), z.number()));
export type Baseline = z.infer<typeof baselineSchema>;

/** A ratio beside that of the baseline. */
export interface Compared {
  readonly what: string;
  readonly value: number;
  readonly baseline: number;
  /** Value by baseline. */
  readonly ratio: number;
  readonly holds: boolean;
}

/** A ratio may be this many times as bad as that of the baseline: it is a ratio already, and runs differ by a third. */
const TOLERANCE = 1.75;
/** Ratios of which more is better; less is better of all others. */
const MORE_IS_BETTER = /^(concurrencyGain|workConserved|refusedOfResponses)$/;

/**
 * Compares ratios with those of an earlier run: only what both have, and only those that time can change. Tails rest on a
 * few requests, and have thresholds alone.
 */
export function compareWithBaseline(
  ratios: Readonly<Record<string, number>>,
  baseline: Readonly<Record<string, number>>,
): Compared[] {
  return Object.entries(baseline)
    .filter(([what, value]) => ratios[what] !== undefined && value > 0 && !what.endsWith('P95'))
    .map(([what, earlier]) => {
      const value = ratios[what]!;
      const ratio = Number((value / earlier).toFixed(3));
      const worse = MORE_IS_BETTER.test(what) ? earlier / value : value / earlier;
      return { what, value, baseline: earlier, ratio, holds: worse <= TOLERANCE };
    });
}
