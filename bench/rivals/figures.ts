import { fromFile } from 'geotiff';
import { median } from '../bench.js';
import type { Run } from './process.js';
import type { Configuration } from './roster.js';
import { type Report, reportOf } from './scripts.js';

const LIMITS = {
  /** The time of the fastest rival in 32 bits, and of MONAI's sliding window, over that of `unseam segment`. */
  fastestFp32OverUnseam: 1.3,
  monaiOverUnseam: 2.2,
  fastestFp32OverInt8: 1.8,
  /**
   * Share of labels that differ from unseam's, of rivals in 32 bits but MONAI's: rounding, and borders that are
   * mirrored twice.
   */
  fp32Differing: 1e-4,
};

/** A way from the slide's file to a mask's file. */
export interface Contender {
  readonly run: (mask: string) => Promise<Run>;
  readonly configuration: Configuration | null;
  readonly runs: Run[];
}

/** What was measured of one contender. */
export interface Figures {
  /** The median. */
  readonly seconds: number;
  readonly runSeconds: readonly number[];
  readonly peakMb: number;
  /** Share of labels that differ from unseam's. */
  readonly differing: number;
  readonly configuration: Configuration | null;
  readonly report: Report | null;
}

/**
 * Summarises all runs.
 * @param maskOf the file of each contender's mask
 */
export async function figuresOf(
  contenders: Readonly<Record<string, Contender>>,
  maskOf: (name: string) => string,
): Promise<Record<string, Figures>> {
  const labels = await labelsIn(maskOf('unseam'));
  const figures: Record<string, Figures> = {};
  for (const [name, { runs, configuration }] of Object.entries(contenders)) {
    const others = await labelsIn(maskOf(name));
    const seconds = runs.map((run) => Number(run.seconds.toFixed(2)));
    figures[name] = {
      seconds: median(seconds),
      runSeconds: seconds,
      peakMb: Math.max(...runs.map((run) => run.peakMb)),
      differing: differing(labels, others),
      configuration,
      report: configuration && reportOf(runs[0]!),
    };
  }
  return figures;
}

/** The values of a mask as stored: ours have a palette, which other decoders would apply. */
async function labelsIn(mask: string): Promise<ArrayLike<number>> {
  const tiff = await fromFile(mask);
  try {
    const [labels] = await (await tiff.getImage()).readRasters({ samples: [0], interleave: false });
    return labels as Uint8Array;
  } finally {
    await tiff.close();
  }
}

/** The share of values that differ. */
function differing(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`masks of ${a.length} and ${b.length} px`);
  let count = 0;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) count++;
  return count / a.length;
}

/** The ratios that the limits are about, as far as their rivals ran, and whether the limits hold. */
export function verdictOf(figures: Readonly<Record<string, Figures>>) {
  const { unseam, monai, 'unseam int8': int8 } = figures;
  const fp32 = Object.values(figures).filter(({ report }) => report?.precision === 'f32');
  const fastest = Math.min(...fp32.map(({ seconds }) => seconds));
  const exact = fp32.filter((each) => each !== monai);
  const ratios = {
    fastestFp32OverUnseam: fastest / unseam!.seconds,
    monaiOverUnseam: monai ? monai.seconds / unseam!.seconds : null,
    fastestFp32OverInt8: fastest / int8!.seconds,
    fp32Differing: Math.max(...exact.map((each) => each.differing)),
  };
  const holds =
    ratios.fastestFp32OverUnseam >= LIMITS.fastestFp32OverUnseam &&
    (ratios.monaiOverUnseam ?? Number.POSITIVE_INFINITY) >= LIMITS.monaiOverUnseam &&
    ratios.fastestFp32OverInt8 >= LIMITS.fastestFp32OverInt8 &&
    ratios.fp32Differing <= LIMITS.fp32Differing;
  return { ratios, limits: LIMITS, holds };
}
