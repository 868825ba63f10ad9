import { deviceFacts, type Environment } from '../../model/devices/environment.js';
import type { TileGeometry } from '../../model/network/geometry.js';
import type { UnetConfig } from '../../model/network/unet.js';
import { architectureOf, type Card } from '../../model/shelf/card.js';
import type { LoopState } from '../../model/train/loop.js';
import type { Dataset, Pair } from './data/dataset.js';
import type { Split } from './data/split.js';
import { type Monitor, scoreOf } from './monitor.js';
import type { RunConfig } from './run-config.js';

/** What the card of a training states and does not change while it runs. */
export interface RunProvenance {
  readonly config: RunConfig;
  readonly dataset: Pick<Dataset, 'normalisation' | 'digest'>;
  readonly split: Split;
  readonly unet: UnetConfig;
  readonly parameters: number;
  readonly geometry: TileGeometry;
  readonly environment: Environment;
  /** Of the device: a training has all of them. */
  readonly threads: number;
  /** Optimiser steps in an epoch. */
  readonly epochSteps: number;
  readonly monitor: Monitor;
}

/** The card of the network that a training has reached, without its weights. */
export function runCard(
  {
    config,
    dataset,
    split,
    unet,
    parameters,
    geometry,
    environment,
    threads,
    epochSteps,
    monitor,
  }: RunProvenance,
  { epoch, seconds, best }: LoopState,
  scores: Card['scores'],
): Omit<Card, 'weights'> {
  return {
    name: config.name,
    version: config.version,
    description: config.description,
    architecture: architectureOf(unet, parameters, geometry),
    inputChannels: unet.inputChannels,
    ...(config.channels && { channels: [...config.channels.named] }),
    normalisation: dataset.normalisation,
    classes: config.classes,
    micronsPerPixel: config.micronsPerPixel,
    data: {
      ...config.data,
      digest: `sha256:${dataset.digest}`,
      split: {
        training: stemsOf(split.training),
        validation: stemsOf(split.validation),
        test: stemsOf(split.test),
      },
    },
    training: {
      command: config.command,
      seed: config.seed,
      steps: epoch * epochSteps,
      seconds: Math.round(seconds),
      ...deviceFacts(environment, { lanes: 1, threads }),
      ...(best && {
        best: {
          monitor,
          value: scoreOf(monitor, best.error),
          epoch: best.epoch,
          steps: best.epoch * epochSteps,
        },
      }),
    },
    scores,
  };
}

const stemsOf = (pairs: readonly Pair[]): string[] => pairs.map(({ stem }) => stem);
