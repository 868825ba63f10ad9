import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type Card, cardSchema } from '../../model/shelf/card.js';
import { namedChannels } from '../../model/shelf/named-channels.js';
import { issueOf } from '../../model/shelf/schema-issue.js';
import { RequestError } from '../contract/errors.js';
import { createFolder } from '../storage/draft-folder.js';
import type { ImageChannels } from './data/image-channels.js';
import type { RangeChoice } from './data/intensities.js';
import { settingsSchema, type TrainingSettings } from './settings.js';

/** All that a training was requested with: written to `run.json`, and read again to resume it. */
export interface RunConfig {
  readonly images: string;
  readonly labels: string;
  readonly name: string;
  readonly version: number;
  readonly classes: Card['classes'];
  /** For labels in colour: colours as 0xrrggbb, each with its class. */
  readonly legend: readonly (readonly [number, number])[] | null;
  /** The label value of pixels that do not count. */
  readonly ignore: number | null;
  /** Whether each cell has its own number in the labels. */
  readonly instances: boolean;
  /** The channels by name; null for gray and colours. */
  readonly channels: ImageChannels | null;
  readonly range: RangeChoice;
  /** Stems of the validation images; null for the last fifth. */
  readonly validation: readonly string[] | null;
  /** Stems of the test images. */
  readonly test: readonly string[];
  readonly settings: TrainingSettings;
  /** The folder of the model whose weights the training starts from. */
  readonly from: string | null;
  readonly freezeEncoder: boolean;
  readonly seed: number;
  /** The command line that started the training. */
  readonly command: string;
  readonly description: string;
  readonly micronsPerPixel: number | null;
  readonly data: { readonly description: string; readonly citation: string | null; readonly terms: string };
}

/** Where a training keeps its files: in the folder of the version that it makes. */
export function runFolder(folder: string) {
  const training = join(folder, 'training');
  return {
    training,
    config: join(training, 'run.json'),
    state: join(training, 'state'),
    log: join(training, 'log.jsonl'),
    best: (epoch: number) => join(training, `best-${epoch}`),
  };
}

/**
 * The version of the file format. Form 1, which had no number, lacked `range`, `instances` and `monitor`; form 2 lacked
 * `channels`.
 */
const FORMAT_VERSION = 3;

const runSchema: z.ZodType<RunConfig> = z.object({
  images: z.string(),
  labels: z.string(),
  name: cardSchema.shape.name,
  version: z.int().min(1),
  classes: cardSchema.shape.classes,
  legend: z.array(z.tuple([z.int(), z.int()])).nullable(),
  ignore: z.int().nullable(),
  instances: z.boolean().default(false),
  channels: z
    .object({ named: namedChannels, indexes: z.array(z.int().min(0)).nullable() })
    .nullable()
    .default(null),
  range: z
    .union([
      z.enum(['type', 'auto']),
      z.tuple([z.number(), z.number()]),
      z.object({ of: z.object({ normalisation: cardSchema.shape.normalisation }) }),
    ])
    .default('type'),
  validation: z.array(z.string()).nullable(),
  test: z.array(z.string()),
  settings: settingsSchema,
  from: z.string().nullable(),
  freezeEncoder: z.boolean(),
  seed: z.int(),
  command: z.string(),
  description: z.string(),
  micronsPerPixel: z.number().nullable(),
  data: z.object({ description: z.string(), citation: z.string().nullable(), terms: z.string() }),
});

/** The format version alone, which decides whether the rest can be read. */
const formSchema = z.object({ form: z.number().default(1) }).catch({ form: 1 });

/**
 * Creates the folder of a version with the settings of its training, atomically: a version without a card can
 * always be resumed.
 * @throws RequestError `conflict` if the folder exists
 */
export async function writeRunConfig(folder: string, config: RunConfig): Promise<void> {
  const written = await createFolder(folder, async (draft) => {
    const files = runFolder(draft);
    await mkdir(files.training);
    const text = JSON.stringify({ form: FORMAT_VERSION, ...config }, null, 2);
    await writeFile(files.config, `${text}\n`);
    return files;
  });
  if (written !== null) return;
  const message = `${folder} exists already: another training of this name has just started; run the command again`;
  throw new RequestError('conflict', message);
}

/** @throws RequestError `bad-data` for a file that is missing, invalid, or of a newer format version */
export async function readRunConfig(folder: string): Promise<RunConfig> {
  const { config: path } = runFolder(folder);
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new RequestError(
      'bad-data',
      `${path} cannot be read, so this training cannot be resumed: delete ${folder} and start again`,
      { cause },
    );
  }
  const { form } = formSchema.parse(json);
  if (form > FORMAT_VERSION) {
    throw new RequestError(
      'bad-data',
      `${path} has format version ${form}, of a newer unseam; this one reads versions up to ${FORMAT_VERSION}: resume with the newer one`,
    );
  }
  const parsed = runSchema.safeParse(json);
  if (!parsed.success) {
    throw new RequestError(
      'bad-data',
      `${path} is invalid, so this training cannot be resumed: ${issueOf(parsed.error)}`,
    );
  }
  return parsed.data;
}
