import { z } from 'zod';
import { parseTileChoice } from '../tiling/plan.js';
import type { ImageChoice } from '../tiling/sources/options.js';
import { RequestError } from './errors.js';

const index = z
  .string()
  .regex(/^\d{1,6}$/, 'it is a number from 0')
  .transform(Number);
const numbers = (text: string): number[] => text.split(',').map(Number);

/** Parameters that say which picture of a file is read; alike in queries, in JSON and on the command line. */
const choiceShape = {
  page: index.optional(),
  level: index.optional(),
  channels: z
    .string()
    .regex(/^\d{1,4}(,\d{1,4})*$/, 'it is a list of channels from 0, such as 0 or 2,1,0')
    .transform(numbers)
    .optional(),
  z: index.optional(),
  t: index.optional(),
  range: z
    .string()
    .transform(numbers)
    .refine(
      (range): range is [number, number] =>
        range.length === 2 && range.every(Number.isFinite) && range[0]! < range[1]!,
      'it is the values that are black and white, such as 0,4095',
    )
    .transform((range) => range as [number, number])
    .optional(),
  mpp: z
    .string()
    .transform(Number)
    .refine((mpp) => mpp > 0 && Number.isFinite(mpp), 'it is micrometres a pixel, such as 0.5')
    .transform((mpp) => ({ x: mpp, y: mpp }))
    .optional(),
};

/** Parameters that a plan needs: the image, the model and the tile. */
export const planShape = {
  model: z.string().optional(),
  tile: z.string().default('auto').transform(parseTileChoice),
  tta: z
    .enum(['0', '1'])
    .default('0')
    .transform((tta) => tta === '1'),
  ...choiceShape,
};

/** How far simplified contours may be from the pixels' sides, in px. */
export const simplifyShape = z
  .string()
  .default('0')
  .transform(Number)
  .refine((px) => px >= 0 && px <= 1000, 'it is a number of px from 0 to 1000');

/**
 * Reads parameters, of whatever origin, by a schema; numbers are as good as their digits.
 * @throws RequestError naming the parameter that is wrong and what would be right
 */
export function parseParameters<Schema extends z.ZodType>(schema: Schema, given: unknown): z.output<Schema> {
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue!.path.join('.');
  throw new RequestError(
    'bad-request',
    where === '' ? issue!.message : `parameter "${where}": ${issue!.message}`,
  );
}

/** The part of parsed parameters that chooses a picture. */
export function choiceOf({ page, level, channels, z, t, range, mpp }: ImageChoice): ImageChoice {
  const choice = { page, level, channels, z, t, range, mpp };
  return Object.fromEntries(Object.entries(choice).filter(([, value]) => value !== undefined));
}

const choiceSchema = z.object(choiceShape);
/** Flags of the command line as a choice; commander gives those that are set, as text. */
export const parseChoice = (flags: object): ImageChoice => {
  const known = Object.keys(choiceShape);
  return choiceOf(
    parseParameters(
      choiceSchema,
      Object.fromEntries(Object.entries(flags).filter(([name]) => known.includes(name))),
    ),
  );
};
