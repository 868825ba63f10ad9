import { z } from 'zod';
import { STORED_TYPES, type StoredType } from './test-image.js';

// What is used of BioImage.IO's descriptions of models, of format versions 0.4 and 0.5; other keys are ignored.

const text = z.string().max(10_000);
const path = z.string().min(1).max(2000);
const number = z.number();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/i);

/** A step of pre- or postprocessing, whose arguments depend on what it is: see `processing.ts`. */
const step = (name: 'id' | 'name') =>
  z.looseObject({ [name]: text, kwargs: z.record(z.string(), z.unknown()).nullish() }).transform((value) => ({
    id: (value as Record<string, unknown>)[name] as string,
    kwargs: ((value as Record<string, unknown>).kwargs ?? {}) as Record<string, unknown>,
  }));

const citation = z.object({ text, doi: text.nullish(), url: text.nullish() });

const weightsEntry = z.object({ source: path, sha256: sha256.nullish() });
const common = {
  name: text,
  description: text.nullish(),
  cite: z.array(citation).nullish(),
  weights: z.record(z.string(), weightsEntry.nullable()),
};

/** A file: its path, or its path and digest. */
const fileOf = z.union([
  path.transform((source) => ({ source, sha256: null as string | null })),
  z.object({ source: path, sha256: sha256.nullish() }).transform((file) => ({
    source: file.source,
    sha256: file.sha256 ?? null,
  })),
]);

/** The least value and the greatest: most packages have infinities, null, or `-inf` as text. */
const bounds = z.tuple([z.unknown(), z.unknown()]);

const dataOf = z.object({
  range: bounds.nullish(),
});

const size05 = z.union([
  z.int(),
  z.object({ min: z.int(), step: z.int() }),
  z.object({ tensor_id: text, axis_id: text, offset: z.int().optional() }),
  z.object({ max: z.int().nullish() }),
]);
const axis05 = z.object({
  type: z.enum(['batch', 'channel', 'index', 'time', 'space']),
  id: text.optional(),
  size: size05.nullish(),
  halo: z.int().nullish(),
  scale: number.nullish(),
  unit: text.nullish(),
  channel_names: z.union([text, z.array(text)]).nullish(),
});
const tensor05 = z.object({
  id: text.optional(),
  axes: z.array(axis05).min(1).max(8),
  data: z.union([dataOf, z.array(dataOf).min(1)]).nullish(),
  test_tensor: fileOf.nullish(),
  preprocessing: z.array(step('id')).nullish(),
  postprocessing: z.array(step('id')).nullish(),
});

/** What this program has put into a package that it has exported. */
const ownConfig = z.object({
  stored_type: z.enum(Object.keys(STORED_TYPES) as [StoredType, ...StoredType[]]),
});

/** Format version 0.5. */
export const description05 = z.object({
  ...common,
  config: z.object({ unseam: ownConfig.optional() }).nullish(),
  attachments: z.array(fileOf).nullish().catch(null), // those of other programs are not read
  license: z.unknown().optional(),
  inputs: z.array(tensor05).min(1),
  outputs: z.array(tensor05).min(1),
});

const shape04 = z.union([
  z.array(z.int()).min(1).max(8),
  z.object({ min: z.array(z.int()), step: z.array(z.int()) }),
  z.object({
    reference_tensor: text,
    scale: z.array(number.nullable()),
    offset: z.array(number),
  }),
]);
const tensor04 = z.object({
  name: text,
  axes: z.union([z.string().max(8), z.array(text).max(8)]),
  data_range: bounds.nullish(),
  shape: shape04,
  halo: z.array(z.int()).nullish(),
  preprocessing: z.array(step('name')).nullish(),
  postprocessing: z.array(step('name')).nullish(),
});

/** Format version 0.4. */
export const description04 = z.object({
  ...common,
  license: z.unknown().optional(),
  inputs: z.array(tensor04).min(1),
  outputs: z.array(tensor04).min(1),
  test_inputs: z.array(fileOf).nullish(),
  test_outputs: z.array(fileOf).nullish(),
});

/** What says whether a description can be read at all. */
export const descriptionHead = z.object({
  type: text.optional(),
  format_version: z.union([text, number]).transform(String),
});
