import type { Engine } from '../../model/engine/engine.js';
import type { Trainee } from '../../model/engine/trainee.js';
import type { UnetConfig } from '../../model/network/unet.js';
import { planTiles } from '../../tiling/plan.js';
import type { Dataset } from './data/dataset.js';
import { Sampler, type WeightMapOptions } from './data/sampler.js';
import type { Split } from './data/split.js';
import type { RunConfig } from './run-config.js';
import { classWeightsOf } from './settings.js';

export interface SetupRequest extends WeightMapOptions {
  readonly config: RunConfig;
  readonly dataset: Dataset;
  readonly split: Split;
}

/** A network to be trained and the sampler of its crops: what a training, a preview and a range test share. */
export interface TrainingSetup {
  readonly trainee: Trainee;
  readonly sampler: Sampler;
  readonly unet: UnetConfig;
}

/**
 * Builds the network of a run on the engine, and the sampler of its crops.
 * @throws ModelConfigError, CheckpointError for a network that cannot be built
 * @throws TileSizeError for a crop size that the network cannot take
 */
export async function setUpTraining(
  engine: Engine,
  { config, dataset, split, ...weightMaps }: SetupRequest,
): Promise<TrainingSetup> {
  const { settings, seed, from, freezeEncoder } = config;
  const { tile, loss, optimizer, batch, epochSteps, accumulate, augmentation, border } = settings;
  const unet = { ...settings.unet, classes: config.classes.length, seed };
  const start = from === null ? {} : { from };
  // of GPUs: products in 19 bits are the driver's choice, and the same network
  const precision = engine.precision === 'fp16' ? 'fp16' : 'fp32';
  const trainee = await engine.train({ unet, tile, loss, optimizer, freezeEncoder, precision, ...start });
  const { geometry } = trainee.facts;
  // refuses a crop size that the network cannot take, with the message that serving has for it
  planTiles({ width: 1, height: 1 }, { tile: { width: tile, height: tile }, rule: geometry });
  const options = {
    tile,
    halo: geometry.halo,
    batch,
    epochSteps: epochSteps === null ? null : epochSteps * accumulate,
    augmentation,
    isSeparate: config.channels !== null || ![1, 3].includes(unet.inputChannels),
    classWeights: classWeightsOf(settings.classWeights, dataset.frequenciesOf(split.training)),
    border,
    seed,
  };
  const sampler = await Sampler.create(split.training, dataset, options, weightMaps);
  return { trainee, sampler, unet };
}
