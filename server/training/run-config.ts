import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Card } from '../../model/card.js';
import { RequestError } from '../errors.js';
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

export async function writeRunConfig(folder: string, config: RunConfig): Promise<void> {
  const { training, config: path } = runFolder(folder);
  await mkdir(training, { recursive: true });
  await writeFile(path, `${JSON.stringify(config, null, 2)}\n`);
}

/** @throws RequestError where there is none, or an unreadable one */
export async function readRunConfig(folder: string): Promise<RunConfig> {
  const { config: path } = runFolder(folder);
  try {
    const config = JSON.parse(await readFile(path, 'utf8')) as RunConfig;
    // before there was a choice, the range was that of the type, and the pixel error chose the best network
    const monitor = config.settings.monitor ?? 'pixelError';
    return { ...config, range: config.range ?? 'type', settings: { ...config.settings, monitor } };
  } catch (cause) {
    throw new RequestError('bad-data', `${path} cannot be read: there is no training to be resumed`, {
      cause,
    });
  }
}
