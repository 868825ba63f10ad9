import { deviceFacts } from '../../model/devices/environment.js';
import type { Engine } from '../../model/engine/engine.js';
import { NORMALISATION } from '../../model/network/pixels.js';
import type { UnetConfig } from '../../model/network/unet.js';
import { architectureOf } from '../../model/shelf/card.js';
import { PLAIN_TRAINING } from '../../model/train/trainer.js';

/** Saves a network with its initial weights: its masks mean nothing, but it computes as much as a trained one. */
export async function writeUntrained(
  engine: Engine,
  folder: string,
  unet: UnetConfig,
  name = 'untrained',
): Promise<void> {
  const trainee = await engine.train({ unet, ...PLAIN_TRAINING });
  const { geometry, parameters } = trainee.facts;
  await trainee.saveModel(folder, {
    name,
    version: 1,
    description: 'An untrained network, with its initial weights.',
    architecture: architectureOf(unet, parameters, geometry),
    inputChannels: unet.inputChannels,
    normalisation: NORMALISATION,
    classes: Array.from({ length: unet.classes }, (_, i) => ({
      name: `class ${i}`,
      colour: i === 0 ? null : '#e6550d',
    })),
    micronsPerPixel: null,
    data: { description: 'none', citation: null, terms: 'none', digest: 'none', split: {} },
    training: {
      command: 'none',
      seed: unet.seed,
      steps: 0,
      seconds: 0,
      ...deviceFacts(await engine.environment(), { lanes: 1, threads: engine.threads }),
    },
    scores: {},
  });
}
