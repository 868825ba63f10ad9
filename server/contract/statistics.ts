import { z } from 'zod';
import { RequestError } from './errors.js';
import { count } from './schemas/values.js';

/** Statistics of an image that normalise it, as receipts state them. */
export const statisticsSchema = z.object({
  ofEachPlane: z
    .boolean()
    .optional()
    .describe(
      'true of a stack, whose planes have statistics of their own each: these are those of the first',
    ),
  level: count
    .nullable()
    .describe('the level of the image that they were measured on; null where they were given'),
  steps: z
    .array(z.string())
    .describe('the steps of the normalisation that they belong to: `zero_mean_unit_variance`, `scale_range`'),
  channels: z.array(
    z.object({
      name: z.string().describe("the model's name of the channel"),
      values: z
        .array(z.number())
        .describe(
          'two numbers for each step: the values at its percentiles, or mean and standard deviation of the values',
        ),
    }),
  ),
});

/** Where the statistics of an image come from. */
export interface StatisticsRequest {
  /** The level that they are measured on, counted as `level` is. Default: the one that is segmented. */
  readonly level?: number | undefined;
  /** The numbers of each channel, by its name, or of all where that is null; they are measured where these are missing. */
  readonly given?: readonly GivenStatistics[] | undefined;
}

export interface GivenStatistics {
  readonly channel: string | null;
  /** Two for each step that has statistics. */
  readonly values: readonly number[];
}

/** How a request is stored in the record of a job. */
export const statisticsRequestSchema = z.strictObject({
  level: count.optional(),
  given: z.array(z.object({ channel: z.string().nullable(), values: z.array(z.number()) })).optional(),
}) satisfies z.ZodType<StatisticsRequest>;

/** Every text of it is a finite number. */
const NUMBER = String.raw`-?(?:\d{1,21}(?:\.\d{1,25})?|\.\d{1,25})(?:e[-+]?\d{1,2})?`;
const VALUES = `${NUMBER}(?::${NUMBER}){1,31}`;
const EXPECTED =
  'must be level=0, or numbers of channels, such as DAPI=112:8040,CD45=90:3000, or 112:8040 for all';

/** `level=3`, `DAPI=112:8040,CD45=90:3000`, or `112:8040` for all channels. */
export const statisticsText = z
  .string()
  .regex(
    new RegExp(`^(?:level=\\d{1,6}|(?:[^,=]{1,100}=)?${VALUES}(?:,[^,=]{1,100}=${VALUES}){0,63})$`),
    EXPECTED,
  )
  .transform((text): StatisticsRequest => {
    const level = /^level=(\d+)$/.exec(text)?.[1];
    if (level !== undefined) return { level: Number(level) };
    return { given: text.split(',').map(parseItem) };
  });

function parseItem(item: string): GivenStatistics {
  const at = item.lastIndexOf('=');
  return {
    channel: at < 0 ? null : item.slice(0, at).trim(),
    values: item
      .slice(at + 1)
      .split(':')
      .map(Number),
  };
}

const receipt = z.object({ statistics: statisticsSchema });
const receipts = z.union([receipt, z.object({ receipt }).transform((job) => job.receipt)]);

/**
 * The statistics of a receipt, or of a job's, to be used for another image; null where the text has none.
 * @throws RequestError for a stack whose planes had statistics of their own: the receipt has the first one's alone
 */
export function statisticsInReceipt(text: string): StatisticsRequest | null {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return null;
  }
  const parsed = receipts.safeParse(json);
  if (!parsed.success) return null;
  const { statistics } = parsed.data;
  if (statistics.ofEachPlane) {
    throw new RequestError(
      'bad-request',
      "the receipt is of a stack, each of whose planes had statistics of its own, and it has the first one's alone: " +
        'give the numbers that all planes should have (stats=DAPI=112:8040, --stats DAPI=112:8040)',
    );
  }
  return { given: givenOf(statistics) };
}

/** What `statisticsSchema` describes, of channels alone. */
interface ChannelStatistics {
  readonly channels: readonly { readonly name: string; readonly values: readonly number[] }[];
}

/** The numbers of each channel. */
export const givenOf = ({ channels }: ChannelStatistics): GivenStatistics[] =>
  channels.map(({ name, values }) => ({ channel: name, values }));
