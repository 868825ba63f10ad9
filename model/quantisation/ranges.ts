import { z } from 'zod';
import { CheckpointError } from '../errors.js';
import { issueOf } from '../shelf/schema-issue.js';

/** File of a quantised version that holds its ranges. */
export const QUANTISATION = 'quantisation.json';
const FORMAT_VERSION = 1;

/** The least and the greatest value of each channel of a layer's output. */
export interface Range {
  readonly low: readonly number[];
  readonly high: readonly number[];
}

/** Ranges by the name of the layer. */
export type Ranges = Readonly<Record<string, Range>>;

const list = z.array(z.number()).min(1);
const schema = z.strictObject({
  form: z.literal(FORMAT_VERSION),
  ranges: z.record(z.string(), z.strictObject({ low: list, high: list })),
});

export const formatRanges = (ranges: Ranges): string =>
  `${JSON.stringify({ form: FORMAT_VERSION, ranges })}\n`;

/** @throws CheckpointError for a text that `formatRanges` did not write */
export function parseRanges(text: string, path: string): Ranges {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError(`${path} is not JSON`, { cause });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data.ranges;
  throw new CheckpointError(`${path}: ${issueOf(parsed.error)}`);
}

/**
 * The range of a layer.
 * @throws CheckpointError where there is none of this many channels
 */
export function rangeOf(ranges: Ranges, layer: string, channels: number): Range {
  const range = ranges[layer];
  if (range?.low.length === channels && range.high.length === channels) return range;
  throw new CheckpointError(`${QUANTISATION} has no range of ${channels} channels for layer "${layer}"`);
}
