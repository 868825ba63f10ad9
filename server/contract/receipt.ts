import { z } from 'zod';
import { count, type Described, margins, pixelSize, time } from './schemas/values.js';
import { STAGES } from './stages.js';
import { statisticsSchema } from './statistics.js';

const classes = z
  .array(z.object({ name: z.string(), colour: z.string().nullable() }))
  .describe('by index; class 0 is background. A colour is `#rrggbb`, or null for a class that is not drawn');

/** The planes of a stack that are segmented, as intervals of their indices. */
const stackSchema = z.object({
  z: z.string().describe('in depth, from 0: `0-4`, `0,2,5-7`'),
  t: z.string().describe('in time, likewise'),
  sizeZ: z.int().min(1).describe('how many these are in depth: the planes of results count from 0'),
  sizeT: z.int().min(1).describe('and in time'),
});

/** How a result was computed, and from what: enough to compute it again. It is never embedded in the mask's file. */
export const receiptSchema = z
  .object({
    model: z.object({
      name: z.string(),
      version: z
        .union([count, z.string()])
        .describe('a number, or that of the version that it quantises, such as `1-int8`'),
      sha256: z.string().describe('of its weights'),
    }),
    image: z.object({
      width: z.int().min(1),
      height: z.int().min(1),
      channels: z.int().min(1),
      dtype: z.string(),
      mpp: pixelSize.nullable().describe('in micrometres; null where the pixel size is unknown'),
      stack: stackSchema.nullable().describe('the planes that are segmented; null where that is one'),
    }),
    outputs: z.array(z.object({ kind: z.string(), format: z.string() })),
    plan: z.object({
      tile: z.string(),
      halo: margins,
      stride: z.string(),
      tiles: z.int().min(1),
      haloShare: z.number().describe('share of the computed px that no tile owns'),
    }),
    tiles: z
      .object({ computed: count, constant: count, identical: count, skipped: count, replayed: count })
      .describe(
        'how the tiles of the plan ended: computed, with the result of an earlier tile of the same value or with ' +
          'identical pixels, skipped as background, or read back from the journal of an interrupted run',
      ),
    scale: z
      .object({ level: count, width: count, height: count, mpp: pixelSize.nullable() })
      .nullable()
      .describe(
        'how the image was scaled for the model; null where it was not. Masks have the size of the image all the same',
      ),
    background: z
      .object({ tilesSkipped: count, tissueShare: z.number(), threshold: z.number().nullable() })
      .nullable()
      .describe(
        'what was skipped as background; null where everything was computed. Skipped tiles are not exact',
      ),
    areas: z
      .array(z.object({ name: z.string(), pixels: count, um2: z.number().nullable() }))
      .nullable()
      .describe('the area of each class; null where only probabilities were computed'),
    normalisation: z
      .string()
      .describe(
        '`type-range` where the whole range of the type is black to white; `range` where an interval is; or the steps of ' +
          'the model, such as `scale_range, clip`; `none` where it has none, and values are read as they are stored',
      ),
    range: z
      .tuple([z.number(), z.number()])
      .nullable()
      .describe(
        'the stored values that were black and white to the network; null for floats without a range',
      ),
    statistics: statisticsSchema
      .nullable()
      .describe('of the image, by which it was normalised; null where the normalisation has none'),
    channels: z
      .enum(['none', 'luminance', 'copied'])
      .describe('how the channels were converted for the model'),
    channelIndexes: z
      .array(count)
      .nullable()
      .describe('which channels of the image were read, from 0, in the order of the model; null for all'),
    symmetries: z.boolean().describe('whether probabilities were averaged over the symmetries of the square'),
    threshold: z
      .number()
      .nullable()
      .describe(
        'the probability from which pixels have the second of two classes; null where the greater one decided',
      ),
    exact: z
      .boolean()
      .describe('whether this device passed the test of tiles for the very graph that was used'),
    largestDifference: z
      .number()
      .nullable()
      .describe(
        'the largest difference between probabilities that this test saw, from 0 to 1: 0 where `exact`; null where ' +
          'there is no test, for a model of one tile size',
      ),
    repeatable: z
      .boolean()
      .describe(
        'whether the same tile has the same bits each time: where it has not, nothing of this run is used for another',
      ),
    compute: z
      .object({
        lanes: count,
        threads: count.describe('of each lane'),
        batchPx: count.describe('px of a batch of several tiles, at most'),
        measured: z.boolean(),
        fallback: z
          .string()
          .nullable()
          .describe(
            'why the requested device `auto` was no GPU; null where it was one, or was not requested',
          ),
      })
      .describe(
        'how the tiles were computed, which no bit depends on where `exact`: as measured on this device, or by default',
      ),
    device: z
      .string()
      .describe(
        'what the last bits depend on: the processor, its instruction set, and the channel blocks it convolves in; ' +
          'or the GPU, its driver, and how it rounds',
      ),
    versions: z.record(z.string(), z.string()),
    classes,
    warnings: z.array(z.string()),
    cached: z
      .object({ computedAt: time })
      .nullable()
      .describe(
        'when an earlier request computed the results; null where this one did. All else is as of then',
      ),
    stagesMs: z
      .partialRecord(z.enum(STAGES), z.number())
      .describe(
        'sums over all tiles, in ms. Stages of different tiles overlap, so they may exceed `durationMs`',
      ),
    durationMs: z.number(),
  })
  .describe('how a result was computed, and from what: enough to compute it again');

export type Receipt = Described<typeof receiptSchema>;

/** The px of an image that are segmented: those of all planes of a stack. */
export const pixelsOf = ({ width, height, stack }: Receipt['image']): number =>
  width * height * (stack ? stack.sizeZ * stack.sizeT : 1);

/**
 * A receipt in a job's record, perhaps written by an earlier version: what every version has written, and what it has
 * of the rest.
 */
export const recordedReceiptSchema = receiptSchema
  .partial()
  .required({ model: true, exact: true, repeatable: true, stagesMs: true, cached: true })
  .describe('how the results were computed. Those of earlier versions of unseam have fewer members');

/** How nearly tiles equal the whole, as the last words of a line: `, exact`, `, tiles differ by up to 4.2e-7`, or none. */
export function exactnessText({
  exact,
  largestDifference,
}: Pick<Receipt, 'exact' | 'largestDifference'>): string {
  if (exact) return ', exact';
  if (largestDifference === null) return '';
  return `, tiles differ by up to ${Number(largestDifference.toPrecision(2))}`;
}
