import type { Engine } from '../../model/engine/engine.js';
import type { CommandContext } from '../terminal/options.js';
import type { Dataset } from './data/dataset.js';
import type { Split } from './data/split.js';
import type { RunConfig } from './run-config.js';

/** What one run of `unseam train` works with, whether it trains, previews or tests learning rates. */
export interface TrainSession {
  readonly context: CommandContext;
  readonly engine: Engine;
  readonly dataset: Dataset;
  readonly split: Split;
  readonly config: RunConfig;
  /** The command that resumes the training of a model in a folder. */
  readonly resumeCommand: (name: string, folder: string) => string;
}
