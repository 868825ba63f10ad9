import { z } from 'zod';

/** The most channels that a network takes. */
export const MAX_INPUT_CHANNELS = 64;

const number = z.number('expected a number');
/** One number for all channels of the network's input, also without a list, or a list of one for each. */
const perChannel = z.union(
  [number.transform((value) => [value]), z.array(number).min(1).max(MAX_INPUT_CHANNELS)],
  'expected a number, or a list with one for each channel',
);
const factors = perChannel.refine((list) => !list.includes(0), 'must not be 0');
/** Whether each channel has statistics of its own, or all of them have one. */
const extent = z.enum(['channel', 'image']);
/** What is added to a divisor, so that it is not 0. */
const eps = z.number('expected a number above 0, such as 1e-6').positive();
const percent = number.min(0).max(100);
const isAscending = ([low, high]: readonly [number, number]): boolean => low < high;

/** How values of one type become intensities from 0 to 1: by the range of their type, or by that of the training images. */
const typeRange = z.strictObject({
  step: z.literal('type-range'),
  /** The stored values of black and white in training, and their type, such as `uint16`: used for images of this type. */
  trained: z
    .strictObject({
      range: z.tuple([number, number]).refine(isAscending, 'low is not below high'),
      type: z.string().min(1),
    })
    .exactOptional(),
});
/** `value · gain + offset`. */
const linear = z.strictObject({
  step: z.literal('scale_linear'),
  gain: factors,
  offset: perChannel,
});
/** `(value − mean) / deviation`, the same for all images. */
const fixedMean = z.strictObject({
  step: z.literal('zero_mean_unit_variance'),
  mean: perChannel,
  deviation: perChannel.refine((list) => list.every((each) => each > 0), 'must be greater than 0'),
});
/** `(value − low) / (high − low)`, the same for all images. */
const fixedRange = z
  .strictObject({ step: z.literal('scale_range'), low: perChannel, high: perChannel })
  .refine(
    ({ low, high }) =>
      high.every((each, i) => each > at(low, i)) && low.every((each, i) => each < at(high, i)),
    'low is not below high',
  );
/** `(value − mean) / (deviation + eps)`, by the mean and the deviation of the image. */
const ownMean = z.strictObject({ step: z.literal('zero_mean_unit_variance'), of: extent, eps });
/** `(value − low) / (high − low + eps)`, by percentiles of the image. */
const ownRange = z.strictObject({
  step: z.literal('scale_range'),
  percentiles: z
    .tuple([percent, percent], 'expected two percentiles, such as [1, 99.8]')
    .refine(isAscending, 'the lower percentile is not the first'),
  of: extent,
  eps,
});
const clip = z
  .strictObject({ step: z.literal('clip'), min: number, max: number })
  .refine(({ min, max }) => min < max, 'min is not below max');

/** A step from stored values to a network's input: each is applied to what the one before it gave. */
export const normalisationStep = z.union(
  [typeRange, linear, fixedMean, fixedRange, ownMean, ownRange, clip],
  'expected a step, such as {"step": "scale_linear", "gain": 0.01, "offset": 0}',
);
export type NormalisationStep = z.infer<typeof normalisationStep>;
/** A step whose numbers are statistics of each image. */
export type StatisticalStep = z.infer<typeof ownMean> | z.infer<typeof ownRange>;
/** How stored values become a network's input: as they are, by no steps. */
export type Normalisation = readonly NormalisationStep[];

export const isStatistical = (step: NormalisationStep): step is StatisticalStep => 'of' in step;

/** The value of a channel in a list of one for all, or one for each. */
export const at = (list: readonly number[], channel: number): number =>
  list.length === 1 ? list[0]! : list[channel]!;

/** Whether values are intensities, and no more is done to them: then a network reads them as they are stored. */
export const isTypeRange = (steps: Normalisation): boolean =>
  steps.length === 1 && steps[0]!.step === 'type-range';

/** Whether the first step makes intensities of values; else the network reads them as they are stored, in any type. */
export const readsIntensities = (steps: Normalisation): boolean => steps[0]?.step === 'type-range';

/** Whether a network's input depends on statistics of each image. */
export const needsStatistics = (steps: Normalisation): boolean => steps.some(isStatistical);

/** What is wrong with a list of steps: the place in it, down to a member of a step where it is one, and the reason. */
interface StepProblem {
  readonly path: readonly (string | number)[];
  readonly reason: string;
}

/** The first thing that is wrong with a list of steps for a network of this many channels; null where nothing is. */
export function problemOfSteps(steps: Normalisation, channels: number): StepProblem | null {
  for (const [i, step] of steps.entries()) {
    if (step.step === 'type-range' && i > 0) return { path: [i], reason: 'type-range has to be the first' };
    const wrong = Object.entries(step).find(
      ([name, value]) =>
        Array.isArray(value) && name !== 'percentiles' && value.length !== 1 && value.length !== channels,
    );
    if (wrong) {
      const orEach = channels === 1 ? '' : `, or ${channels}, one for each channel`;
      return { path: [i, wrong[0]], reason: `expected 1 number${orEach}` };
    }
    const isOfImage = isStatistical(step) && step.of === 'image';
    if (isOfImage && steps.slice(0, i).some(isOfEachChannel)) {
      return {
        path: [i],
        reason: 'statistics of all channels cannot follow a step that treats each by itself',
      };
    }
  }
  return null;
}

/** Whether a step may treat channels differently. */
function isOfEachChannel(step: NormalisationStep): boolean {
  if (isStatistical(step)) return step.of === 'channel';
  return Object.values(step).some((value) => Array.isArray(value) && value.length > 1);
}
