import { z } from 'zod';
import { parseTileChoice } from '../../tiling/plan.js';
import { parsePlaneRanges } from '../../tiling/planes.js';
import { RequestError } from './errors.js';
import type { WorkSpec } from './job-spec.js';
import { integer, NOTATION } from './schemas/notation.js';
import { statisticsText } from './statistics.js';

/** Limits of a request's parameters; the longest value is a file's name. */
export const PARAMETER_BOUNDS = { parameters: 64, nameChars: 64, chars: 3000 } as const;

const index = integer(0, 999_999);
/**
 * Digits before and after a point, and an exponent: as many as JavaScript writes for a number. No two parts match the
 * same text: no input makes it backtrack.
 */
const DECIMAL = String.raw`(?:\d{1,21}(?:\.\d{1,25})?|\.\d{1,25})(?:e[-+]?\d{1,3})?`;
const numbers = (text: string): number[] => text.split(',').map(Number);

/** Digits are a channel's number, anything else is its name. */
const channelList = (text: string): (number | string)[] =>
  text.split(',').map((item) => (/^\d{1,4}$/.test(item) ? Number(item) : item.trim()));

const PLANES = 'must be an index from 0, all, or a list of indices and ranges such as 0-4 or 0,2,5-7';

/** One plane by its index, or several: then the image is segmented as a stack, even if it is one plane of it. */
const planes = (description: string) =>
  z
    .string()
    .regex(/^(all|\d{1,6}(-\d{1,6})?(,\d{1,6}(-\d{1,6})?)*)$/, PLANES)
    .transform((text, context) => {
      if (/^\d+$/.test(text)) return Number(text);
      const ranges = parsePlaneRanges(text);
      if (ranges !== null) return ranges;
      context.addIssue({ code: 'custom', message: `${PLANES}, ascending` });
      return z.NEVER;
    })
    .register(NOTATION, { json: [{ type: 'integer', minimum: 0, maximum: 999_999 }] })
    .optional()
    .describe(description);

const RANGE = 'must be the stored values of black and white, such as 0,4095';

/** Which picture of a file is read: the same parameters in queries, in JSON and on the command line. */
const choiceShape = {
  page: index.optional().describe('which image of a multi-page file, from 0'),
  level: index.optional().describe('pyramid level; 0 is the largest. The mask has the size of that level'),
  channels: z
    .string()
    .regex(
      /^[^,]{1,100}(,[^,]{1,100}){0,99}$/,
      'must be a list of channels, by number from 0 or by name, such as 2,1,0 or DAPI,CD45',
    )
    .transform(channelList)
    .register(NOTATION, {
      json: [
        {
          type: 'array',
          minItems: 1,
          maxItems: 100,
          items: {
            anyOf: [
              { type: 'integer', minimum: 0, maximum: 9999 },
              { type: 'string', pattern: '^[^,]{1,100}$' },
            ],
          },
        },
      ],
    })
    .optional()
    .describe(
      'channels of the image, by number from 0 or by name: one as gray, three as RGB, or those of the model in its ' +
        'order: `2`, `0,1,2`, `DAPI,CD45`. By default a model with named channels finds them by their names',
    ),
  z: planes(
    'plane of a z-stack, from 0; or several, which are segmented in one job: `all`, `0-4`, `0,2,5-7`. Pages of a TIFF ' +
      'that says nothing else are planes',
  ),
  t: planes('frame of a time series, from 0; or several, as of `z`'),
  range: z
    .string()
    .regex(new RegExp(`^-?${DECIMAL},-?${DECIMAL}$`), RANGE)
    .transform((text) => numbers(text) as [number, number])
    .refine(([black, white]) => black < white && Number.isFinite(white - black), RANGE)
    .register(NOTATION, { json: [{ type: 'array', minItems: 2, maxItems: 2, items: { type: 'number' } }] })
    .optional()
    .describe(
      'the stored values of black and white, the lower first: `0,4095`. Required for floating-point images and for ' +
        'signed ones but `int8`',
    ),
};

/** `auto` scales the image to the model's pixel size; a number overrides the image's own. */
const mppShape = z
  .string()
  .regex(
    new RegExp(`^(auto|(auto,)?${DECIMAL})$`),
    'must be micrometres per pixel, such as 0.5, or auto, or auto,0.5',
  )
  .transform((text) => {
    const microns = Number(text.replace(/^auto,?/, ''));
    return { scale: text.startsWith('auto'), own: microns > 0 ? { x: microns, y: microns } : undefined };
  })
  .register(NOTATION, { json: [{ type: 'number', exclusiveMinimum: 0 }] })
  .default({ scale: false, own: undefined })
  .describe(
    "the pixel size in micrometres, overriding the file's: `0.5`. `auto` resamples the image to the pixel size that " +
      'the model was trained at, and the mask back; `auto,0.25` does both',
  );

const statsShape = statisticsText
  .optional()
  .describe(
    'for models that normalise by statistics of the image: `level=3` measures them on that level; `DAPI=112:8040,CD45=90:3000` ' +
      'gives them, two numbers for each channel: the values at the percentiles, or mean and standard deviation. By default ' +
      'they are measured on the level that is segmented',
  );

/** Parameters of a plan, and of everything that is segmented. */
export const planShape = {
  model: z.string().optional().describe('`NAME`, or `NAME/VERSION`; optional if there is only one'),
  tile: z
    .string()
    .default('auto')
    .transform(parseTileChoice)
    .register(NOTATION, {
      text: { type: 'string', pattern: '^(auto|whole|\\d{1,7}([x×]\\d{1,7})?)$', default: 'auto' },
      json: [{ type: 'integer', minimum: 0, maximum: 9_999_999 }],
    })
    .describe('`auto`, `whole`, a side in px, or `WIDTHxHEIGHT`: speed and memory only, never the result'),
  tta: z
    .enum(['0', '1'])
    .default('0')
    .transform((tta) => tta === '1')
    .register(NOTATION, { json: [{ type: 'boolean' }, { enum: [0, 1] }] })
    .describe('`1` averages over the eight symmetries of the square, at eight times the cost'),
  threshold: z
    .string()
    .max(24)
    .refine(
      (text) => text === 'card' || (Number(text) > 0 && Number(text) < 1),
      'must be a probability between 0 and 1, such as 0.3, or card for the one of the model',
    )
    .transform((text) => (text === 'card' ? text : Number(text)))
    .register(NOTATION, {
      text: {
        type: 'string',
        maxLength: 24,
        pattern: '^(card|0?\\.\\d*[1-9]\\d*|[1-9]\\d?(\\.\\d+)?e-([3-9]|[1-9]\\d))$',
      },
      json: [{ type: 'number', exclusiveMinimum: 0, exclusiveMaximum: 1 }],
    })
    .optional()
    .describe(
      'for two classes: the lowest probability at which a pixel belongs to the second, such as `0.3`, or `card` for ' +
        'the one that validation chose. By default the more probable class wins',
    ),
  mpp: mppShape,
  'skip-background': z
    .string()
    .min(1)
    .default('0')
    .transform((skip): WorkSpec['background'] => {
      if (skip === '0') return null;
      return skip === '1' ? 'auto' : { mask: skip };
    })
    .register(NOTATION, { json: [{ type: 'boolean' }, { enum: [0, 1] }] })
    .describe(
      '`1` skips tiles without tissue; or the path, in the folder of slides, of a tissue mask: an image of any size',
    ),
  stats: statsShape,
  ...choiceShape,
};
type PlanParameters = z.output<z.ZodObject<typeof planShape>>;

/** How far simplified contours may be from the pixels' sides, in px. */
export const simplifyShape = z
  .string()
  .regex(
    /^(1000(\.0{1,25})?|\d{1,3}(\.\d{1,25})?|\.\d{1,25})(e-\d{1,3})?$/,
    'must be a number of px from 0 to 1000',
  )
  .default('0')
  .transform(Number)
  .register(NOTATION, {
    text: { type: 'number', minimum: 0, maximum: 1000, default: 0 },
    json: [{ type: 'number', minimum: 0, maximum: 1000 }],
  })
  .describe(
    'how far contours of `geojson` may deviate from the pixel edges, in px of the mask; 0 is not at all',
  );

/**
 * Parses parameters from a query, from JSON or from the command line.
 * @throws RequestError naming the invalid parameter and what it may be
 */
export function parseParameters<Schema extends z.ZodType>(schema: Schema, input: unknown): z.output<Schema> {
  if (typeof input === 'object' && input !== null) checkLengths(input);
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  if (issue!.code === 'unrecognized_keys') {
    const known = schema instanceof z.ZodObject ? `: expected ${Object.keys(schema.shape).join(', ')}` : '';
    throw new RequestError('bad-request', `there is no parameter "${issue!.keys[0]}"${known}`);
  }
  const where = issue!.path.join('.');
  throw new RequestError(
    'bad-request',
    where === '' ? issue!.message : `parameter "${where}": ${issue!.message}`,
  );
}

/** Bounds what the schemas have to look at. */
function checkLengths(input: object): void {
  const entries = Object.entries(input);
  if (entries.length > PARAMETER_BOUNDS.parameters) {
    throw new RequestError(
      'bad-request',
      `${entries.length} parameters are too many: the limit is ${PARAMETER_BOUNDS.parameters}`,
    );
  }
  for (const [name, value] of entries) {
    if (name.length > PARAMETER_BOUNDS.nameChars)
      throw new RequestError(
        'bad-request',
        `there is no parameter "${name.slice(0, PARAMETER_BOUNDS.nameChars)}…"`,
      );
    if (typeof value === 'string' && value.length > PARAMETER_BOUNDS.chars) {
      throw new RequestError(
        'bad-request',
        `parameter "${name}": ${value.length} characters are too long: the limit is ${PARAMETER_BOUNDS.chars}`,
      );
    }
  }
}

/** Parsed parameters as the work that they request. */
export function workOf(parameters: PlanParameters): WorkSpec {
  const { model, tile, tta, threshold = null, mpp, stats, page, level, channels, z, t, range } = parameters;
  const choice = { page, level, channels, z, t, range, mpp: mpp.own };
  return {
    model,
    tile,
    symmetries: tta,
    threshold,
    scale: mpp.scale,
    background: parameters['skip-background'],
    ...(stats && { statistics: stats }),
    choice: Object.fromEntries(Object.entries(choice).filter(([, value]) => value !== undefined)),
  };
}

/** Flags of the command line as the work that they request. Commander passes most of them as text. */
export function workOfFlags(flags: object): WorkSpec {
  const known = Object.entries(flags).filter(([name]) => name in planShape);
  const { skipBackground = '0', tta } = flags as {
    readonly skipBackground?: true | string;
    readonly tta?: true;
  };
  return workOf(
    parseParameters(z.object(planShape), {
      ...Object.fromEntries(known),
      tta: tta ? '1' : '0',
      'skip-background': skipBackground === true ? '1' : skipBackground,
    }),
  );
}
