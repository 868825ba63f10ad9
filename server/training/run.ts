import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Engine } from '../../model/engine/engine.js';
import type { Trainee } from '../../model/engine/trainee.js';
import type { Card } from '../../model/shelf/card.js';
import { issueOf } from '../../model/shelf/schema-issue.js';
import {
  INITIAL_STATE,
  type LoopState,
  loopStateSchema,
  type TrainEvent,
  train,
} from '../../model/train/loop.js';
import { learningRateAt } from '../../model/train/schedule.js';
import { RequestError } from '../contract/errors.js';
import type { Dataset } from './data/dataset.js';
import type { Split } from './data/split.js';
import type { Prediction } from './evaluate.js';
import { type Monitor, monitorFor } from './monitor.js';
import { publishBest } from './publish.js';
import { type RunProvenance, runCard } from './run-card.js';
import { type RunConfig, runFolder } from './run-config.js';
import { setUpTraining, type TrainingSetup } from './setup.js';
import { Validator } from './validation.js';

export interface RunRequest {
  readonly engine: Engine;
  readonly dataset: Dataset;
  readonly split: Split;
  readonly config: RunConfig;
  /** The folder of the version; its card appears when the training has ended. */
  readonly folder: string;
  /** Whether to continue from the last checkpoint. */
  readonly resume: boolean;
  readonly signal: AbortSignal;
  /** Called after each weight map that is computed. */
  readonly onWeightMap?: (done: number, total: number) => void;
}

/** What is known before the first step. */
export interface RunFacts {
  readonly parameters: number;
  /** Optimiser steps in an epoch. */
  readonly epochSteps: number;
  /** Where the training starts, or continues. */
  readonly from: LoopState;
  /** The score that selects the best network. */
  readonly monitor: Monitor;
}

/** Who watches a training. */
export interface RunObserver {
  event(event: TrainEvent): void | Promise<void>;
  /** Called with each image of the final scoring, which is that of the best network. */
  prediction(part: 'validation' | 'test', prediction: Prediction): void | Promise<void>;
}

/**
 * A training from its first or next step to a published model. Crops are read, mirrored and normalised as serving
 * does, whole images are validated through the serving pipeline, and the best network is published.
 */
export class TrainingRun {
  private constructor(
    readonly facts: RunFacts,
    private readonly request: RunRequest,
    private readonly setup: TrainingSetup,
    private readonly validator: Validator,
    private readonly provenance: RunProvenance,
  ) {}

  /**
   * Builds the network, computes weight maps and restores the checkpoint of a training to resume. Writes nothing.
   *
   * @throws RequestError `bad-data` if the data is not that of the training to resume, or has no score to monitor
   * @throws CheckpointError for a checkpoint that cannot be read
   */
  static async create(request: RunRequest): Promise<TrainingRun> {
    const { engine, dataset, split, config, folder } = request;
    const setup = await setUpTraining(engine, request);
    const { trainee, sampler, unet } = setup;
    const { geometry, parameters } = trainee.facts;
    const environment = await engine.environment();
    const { state } = runFolder(folder);
    const from = request.resume ? await restore(trainee, state, dataset.digest) : INITIAL_STATE;
    const epochSteps = Math.max(1, Math.floor(sampler.epochSteps / config.settings.accumulate));
    const frequencies = dataset.frequenciesOf(split.training);
    const monitor = config.settings.monitor ?? monitorFor(frequencies);
    const pairs = split.validation;
    const validator = new Validator({ engine, dataset, config, pairs, frequencies, geometry, monitor });
    const facts = { parameters, epochSteps, from, monitor };
    return new TrainingRun(facts, request, setup, validator, {
      config,
      dataset,
      split,
      unet,
      parameters,
      geometry,
      environment,
      threads: engine.threads,
      epochSteps,
      monitor,
    });
  }

  /**
   * Trains to the end and publishes the best network. When the request's signal aborts, it writes a checkpoint.
   * @returns the card of the best network; null if the training was interrupted
   */
  async train(observer: RunObserver): Promise<Card | null> {
    let final: LoopState | null = null;
    for await (const event of this.#events()) {
      await observer.event(event);
      if (event.type === 'end' && event.reason !== 'interrupted') final = event.state;
    }
    return final === null ? null : this.#publish(final, observer);
  }

  #events(): AsyncGenerator<TrainEvent> {
    const { dataset, config, folder, signal } = this.request;
    const { trainee, sampler } = this.setup;
    const { epochSteps, from } = this.facts;
    const { epochs, accumulate, patience, schedule } = config.settings;
    const files = runFolder(folder);
    return train(trainee, {
      epochs,
      epochSteps,
      accumulate,
      patience,
      learningRate: (step) => learningRateAt(schedule, step, epochs * epochSteps, epochSteps),
      batch: (epoch, index) => sampler.batch(epoch, index),
      validate: async () => this.validator.validate(await trainee.snapshot()),
      saveBest: async (state, { scores }) => {
        const card = runCard(this.provenance, state, { validation: scores });
        await trainee.saveModel(files.best(state.epoch), card);
      },
      saveCheckpoint: async (state) => {
        await trainee.saveState(files.state, checkpointOf(state, dataset.digest));
        await removeOlderBests(files.training, state.best?.epoch);
      },
      from,
      signal,
      now: () => performance.now(),
    });
  }

  #publish(state: LoopState, observer: RunObserver): Promise<Card> {
    const { engine, dataset, split, config, folder } = this.request;
    const request = {
      engine,
      dataset,
      split,
      names: config.classes.map(({ name }) => name),
      folder,
      epoch: state.best!.epoch,
      onPrediction: observer.prediction.bind(observer),
    };
    return publishBest(request, (scores) => runCard(this.provenance, state, scores));
  }
}

/** What a state file holds besides the network and its optimiser. */
const checkpointSchema = z.object({
  progress: loopStateSchema,
  /** Of the data set that the training uses. */
  digest: z.string(),
});

const checkpointOf = (progress: LoopState, digest: string): z.input<typeof checkpointSchema> => {
  return { progress, digest };
};

/** Restores the last checkpoint; without one, the training starts over, which gives the same network. */
async function restore(trainee: Trainee, path: string, digest: string): Promise<LoopState> {
  const missing = await stat(path).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
  );
  if (missing) return INITIAL_STATE;
  const checkpoint = checkpointSchema.safeParse(await trainee.loadState(path));
  if (!checkpoint.success) {
    throw new RequestError('bad-data', `${path} cannot be resumed: ${issueOf(checkpoint.error)}`);
  }
  if (checkpoint.data.digest !== digest) {
    throw new RequestError('bad-data', 'the images or labels are not those that the training began with');
  }
  return checkpoint.data.progress;
}

/** Removes networks that were the best before. */
async function removeOlderBests(training: string, epoch: number | undefined): Promise<void> {
  for (const name of await readdir(training)) {
    if (name.startsWith('best-') && name !== `best-${epoch}`) {
      await rm(join(training, name), { recursive: true, force: true });
    }
  }
}
