import { z } from 'zod';
import { PackageError, UnsupportedPackageError } from '../../model/errors.js';
import type { NormalisationStep } from '../../model/network/normalisation.js';
import type { Postprocessing } from '../../model/shelf/card.js';
import { issueOf } from '../../model/shelf/schema-issue.js';
import type { ProcessingStep, TensorDescription } from './description.js';

const perChannel = z.union([z.number().transform((value) => [value]), z.array(z.number()).min(1)]);
const axes = z.union([z.string().transform((letters) => [...letters]), z.array(z.string())]).nullish();
/** The least epsilon: a divisor of zero is never meant. */
const eps = z.number().positive().default(1e-6);

const linear = z.object({ gain: perChannel.default([1]), offset: perChannel.default([0]) });
const clip = z.object({ min: z.number(), max: z.number() });
const fixedMean = z.object({ mean: perChannel, std: perChannel, eps: z.number().nonnegative().optional() });
const ownMean = z.object({ mode: z.string().nullish(), axes, eps });
const ownRange = z.object({
  mode: z.string().nullish(),
  axes,
  min_percentile: z.number().default(0),
  max_percentile: z.number().default(100),
  eps,
  reference_tensor: z.string().nullish(),
});
const dtype = z.object({ dtype: z.string() });
const threshold = z.object({ threshold: z.number() });
const softmax = z.object({ axis: z.string().default('channel') });

/** The steps of a package as those of a card. */
export interface ReadSteps {
  readonly normalisation: NormalisationStep[];
  /** What a user should know of it. */
  readonly notes: readonly string[];
}

/**
 * The steps from stored values to the network's input.
 * @throws UnsupportedPackageError naming the first step that is not supported; PackageError for wrong arguments
 */
export function normalisationOf(input: TensorDescription): ReadSteps {
  const normalisation: NormalisationStep[] = [];
  const notes: string[] = [];
  for (const { id, kwargs } of input.steps) {
    const parse = <Schema extends z.ZodType>(schema: Schema) => argumentsOf(schema, id, kwargs);
    switch (id) {
      case 'ensure_dtype': {
        const { dtype: type } = parse(dtype);
        if (!type.startsWith('float')) refuse(id, `it makes values of type ${type} in front of the network`);
        break;
      }
      case 'scale_linear': {
        const { gain, offset } = parse(linear);
        normalisation.push({ step: 'scale_linear', gain, offset });
        break;
      }
      case 'clip': {
        if (kwargs.min_percentile != null || kwargs.max_percentile != null)
          refuse(id, 'it clips by percentiles');
        normalisation.push({ step: 'clip', ...parse(clip) });
        break;
      }
      case 'fixed_zero_mean_unit_variance':
        normalisation.push(fixedOf(parse(fixedMean)));
        break;
      case 'zero_mean_unit_variance': {
        if (kwargs.mode === 'fixed') {
          normalisation.push(fixedOf(parse(fixedMean)));
          break;
        }
        const own = parse(ownMean);
        if (own.mode === 'per_dataset') notes.push(datasetNote(id));
        normalisation.push({ step: id, of: extentOf(own.axes, id, input), eps: own.eps });
        break;
      }
      case 'scale_range': {
        const own = parse(ownRange);
        if (own.reference_tensor != null && own.reference_tensor !== input.id) {
          refuse(id, `it takes the percentiles of another tensor, ${own.reference_tensor}`);
        }
        if (own.mode === 'per_dataset') notes.push(datasetNote(id));
        const percentiles: [number, number] = [own.min_percentile, own.max_percentile];
        normalisation.push({ step: id, percentiles, of: extentOf(own.axes, id, input), eps: own.eps });
        break;
      }
      default:
        refuse(
          id,
          'in front of a network, only ensure_dtype, scale_linear, clip, zero_mean_unit_variance (fixed or of each image) and scale_range are',
        );
    }
  }
  if (normalisation.length > 0) return { normalisation, notes };
  const [low, high] = input.range ?? [];
  if (low === 0 && high === 1) return { normalisation: [{ step: 'type-range' }], notes };
  return { normalisation: [], notes };
}

const datasetNote = (id: string): string =>
  `${id}: the statistics of the data set are taken of each image, since an image is segmented alone`;

function fixedOf({ mean, std, eps: own = 1e-6 }: z.output<typeof fixedMean>): NormalisationStep {
  return { step: 'zero_mean_unit_variance', mean, deviation: std.map((deviation) => deviation + own) };
}

/** Whether statistics are those of each channel, or of all together. @throws UnsupportedPackageError for others */
function extentOf(
  axes: readonly string[] | null | undefined,
  id: string,
  { axes: own }: TensorDescription,
): 'channel' | 'image' {
  if (axes == null) return 'image';
  const named = new Set(axes.map((axis) => (axis === 'batch' ? 'b' : axis === 'channel' ? 'c' : axis)));
  if (!named.has('y') || !named.has('x'))
    refuse(id, `it normalises along the axes ${axes.join(', ')}, not along rows and columns`);
  return named.has('c') || !own.includes('c') ? 'image' : 'channel';
}

/** What is left to be done to a network's output, and what the output of a package has besides. */
export interface ReadPostprocessing {
  readonly postprocessing: Postprocessing;
  /** The threshold by which the package's output is made of zeros and ones; null where it is not. */
  readonly binarised: number | null;
}

/**
 * The steps from a network's output to probabilities.
 * @throws UnsupportedPackageError naming the first step that is not supported
 */
export function postprocessingOf({ steps }: TensorDescription): ReadPostprocessing {
  const postprocessing: Postprocessing = [];
  let binarised: number | null = null;
  for (const { id, kwargs } of steps) {
    const parse = <Schema extends z.ZodType>(schema: Schema) => argumentsOf(schema, id, kwargs);
    switch (id) {
      case 'sigmoid':
      case 'softmax': {
        if (id === 'softmax' && !['channel', 'c'].includes(parse(softmax).axis))
          refuse(id, 'it is not a softmax over channels');
        if (postprocessing.length > 0) refuse(id, 'it follows another step');
        postprocessing.push({ step: id });
        break;
      }
      case 'binarize': {
        const { threshold: value } = parse(threshold);
        if (value <= 0 || value >= 1) refuse(id, `its threshold, ${value}, is not between 0 and 1`);
        binarised = value;
        postprocessing.push({ step: 'threshold', value });
        break;
      }
      case 'ensure_dtype':
        break;
      case 'clip': {
        const { min, max } = parse(clip);
        if (min > 0 || max < 1) refuse(id, 'it clips probabilities');
        break;
      }
      default:
        refuse(
          id,
          'behind a network, only sigmoid, softmax, binarize and ensure_dtype are: others make no probabilities',
        );
    }
  }
  return { postprocessing, binarised };
}

const refuse = (id: string, reason: string): never => {
  throw new UnsupportedPackageError(`its step ${id} is not supported: ${reason}`);
};

function argumentsOf<Schema extends z.ZodType>(
  schema: Schema,
  id: string,
  kwargs: ProcessingStep['kwargs'],
): z.output<Schema> {
  const parsed = schema.safeParse(kwargs);
  if (parsed.success) return parsed.data;
  throw new PackageError(`its step ${id}: ${issueOf(parsed.error)}`);
}
