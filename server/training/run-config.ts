import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Card } from '../../model/card.js';
import { RequestError } from '../contract/errors.js';
import type { RangeChoice } from './intensities.js';
import type { TrainingSettings } from './settings.js';

/** Everything that a training was asked for: what it writes down, and is resumed with. */
export interface RunConfig {
  readonly images: string;
  readonly labels: string;
  readonly name: string;
  readonly version: number;
  readonly classes: Card['classes'];
  /** Label colours as 0xrrggbb with the class that each means. */
  readonly legend: readonly (readonly [number, number])[] | null;
  readonly ignore: number | null;
  /** Whether labels number cells. */
  readonly instances: boolean;
  /** Which stored values are black and white. */
  readonly range: RangeChoice;
  /** Stems of the images that choose the best network, and of those that are scored once, at the end. */
  readonly validation: readonly string[] | null;
  readonly test: readonly string[];
  readonly settings: TrainingSettings;
  /** The folder of the model that it starts from. */
  readonly from: string | null;
  readonly freezeEncoder: boolean;
  readonly seed: number;
  readonly command: string;
  readonly description: string;
  readonly micronsPerPixel: number | null;
  readonly data: { readonly description: string; readonly citation: string | null; readonly terms: string };
}

/** Where a training keeps its things: below the folder of the version that it makes. */
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

/** The form of `run.json` that this version writes. The first, which had no number, lacked range and monitor. */
const FORM = 2;

/**
 * Makes the folder of a version with the settings of its training. It appears whole: whatever is killed when,
 * a version in training can be resumed.
 * @throws RequestError where a version of that number has appeared meanwhile
 */
export async function writeRunConfig(folder: string, config: RunConfig): Promise<void> {
  const partial = join(dirname(folder), `.${basename(folder)}.${process.pid}.partial`);
  await mkdir(runFolder(partial).training, { recursive: true });
  try {
    await writeFile(runFolder(partial).config, `${JSON.stringify({ form: FORM, ...config }, null, 2)}\n`);
    await rename(partial, folder);
  } catch (cause) {
    await rm(partial, { recursive: true, force: true });
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw cause;
    const message = `${folder} has appeared meanwhile: another training of that name has begun; train anew`;
    throw new RequestError('conflict', message, { cause });
  }
}

/** @throws RequestError where there is none, an unreadable one, or one of a newer form */
export async function readRunConfig(folder: string): Promise<RunConfig> {
  const { config: path } = runFolder(folder);
  let config: RunConfig & { readonly form?: number };
  try {
    config = JSON.parse(await readFile(path, 'utf8')) as typeof config;
  } catch (cause) {
    throw new RequestError(
      'bad-data',
      `${path} cannot be read, so there is no training to be resumed: delete ${folder}, and train anew`,
      { cause },
    );
  }
  const form = config.form ?? 1;
  if (form > FORM) {
    throw new RequestError(
      'bad-data',
      `${path} has form ${form}, of a newer unseam; this one reads forms up to ${FORM}: resume it with that`,
    );
  }
  // before there was a choice, the range was that of the type, and the pixel error chose the best network
  const monitor = config.settings.monitor ?? 'pixelError';
  const { range = 'type', instances = false } = config as Partial<RunConfig>;
  return { ...config, range, instances, settings: { ...config.settings, monitor } };
}
