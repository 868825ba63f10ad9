import { z } from 'zod';

/** The most channels that a network takes. */
export const MAX_INPUT_CHANNELS = 64;

/** One number for all channels of the network's input, or one for each. */
const perChannel = z.array(z.number()).min(1).max(MAX_INPUT_CHANNELS);
const factors = perChannel.refine((list) => !list.includes(0), 'must not be 0');
/** Whether each channel has statistics of its own, or all of them have one. */
const extent = z.enum(['channel', 'image']);
/** What is added to a divisor, so that it is not 0. */
const eps = z.number().positive();
const percent = z.number().min(0).max(100);
const isAscending = ([low, high]: readonly [number, number]): boolean => low < high;

/** How values of one type become intensities from 0 to 1: by the range of their type, or by that of the training images. */
const typeRange = z.strictObject({
  step: z.literal('type-range'),
  /** The stored values of black and white in training, and their type, such as `uint16`: used for images of this type. */
  trained: z
    .strictObject({
      range: z.tuple([z.number(), z.number()]).refine(isAscending, 'low is not below high'),
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
  percentiles: z.tuple([percent, percent]).refine(isAscending, 'the lower percentile is not the first'),
  of: extent,
  eps,
});
const clip = z
  .strictObject({ step: z.literal('clip'), min: z.number(), max: z.number() })
  .refine(({ min, max }) => min < max, 'min is not below max');

/** A step from stored values to a network's input: each is applied to what the one before it gave. */
export const normalisationStep = z.union([typeRange, linear, fixedMean, fixedRange, ownMean, ownRange, clip]);
export type NormalisationStep = z.infer<typeof normalisationStep>;
/** A step whose numbers are statistics of each image. */
export type StatisticalStep = z.infer<typeof ownMean> | z.infer<typeof ownRange>;
/** How stored values become a network's input. */
export type Normalisation = readonly NormalisationStep[];

export const isStatistical = (step: NormalisationStep): step is StatisticalStep => 'of' in step;

/** The value of a channel in a list of one for all, or one for each. */
export const at = (list: readonly number[], channel: number): number =>
  list.length === 1 ? list[0]! : list[channel]!;

/** Whether values are intensities, and no more is done to them: then a network reads them as they are stored. */
export const isTypeRange = (steps: Normalisation): boolean =>
  steps.length === 1 && steps[0]!.step === 'type-range';

/** Whether the first step makes intensities of values; else the network reads them as they are stored, in any type. */
export const readsIntensities = (steps: Normalisation): boolean => steps[0]!.step === 'type-range';

/** Whether a network's input depends on statistics of each image. */
export const needsStatistics = (steps: Normalisation): boolean => steps.some(isStatistical);

/** What is wrong with a list of steps for a network of this many channels; null where nothing is. */
export function problemOfSteps(steps: Normalisation, channels: number): string | null {
  for (const [i, step] of steps.entries()) {
    if (step.step === 'type-range' && i > 0) return `step ${i}: type-range has to be the first`;
    const lists = Object.values(step).filter((value): value is number[] => Array.isArray(value));
    const isWrong = (list: readonly number[]) => list.length !== 1 && list.length !== channels;
    if (!('percentiles' in step) && lists.some(isWrong)) {
      return `step ${i}: expected 1 number, or ${channels}, one for each channel`;
    }
    const isOfImage = isStatistical(step) && step.of === 'image';
    if (isOfImage && steps.slice(0, i).some(isOfEachChannel)) {
      return `step ${i}: statistics of all channels cannot follow a step that treats each by itself`;
    }
  }
  return null;
}

/** Whether a step may treat channels differently. */
function isOfEachChannel(step: NormalisationStep): boolean {
  if (isStatistical(step)) return step.of === 'channel';
  return Object.values(step).some((value) => Array.isArray(value) && value.length > 1);
}
