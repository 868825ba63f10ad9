import { architectureOf } from '../model/card.js';
import type { Engine } from '../model/engine.js';
import { deviceFacts } from '../model/environment.js';
import { NORMALISATION } from '../model/pixels.js';
import { PLAIN_TRAINING } from '../model/train/trainer.js';
import type { UnetConfig } from '../model/unet.js';

/** Saves a network as it is initialised: its masks mean nothing, its work is that of a trained one. */
export async function writeUntrained(engine: Engine, folder: string, unet: UnetConfig): Promise<void> {
  const trainee = await engine.train({ unet, ...PLAIN_TRAINING });
  const { geometry, parameters } = trainee.facts;
  await trainee.saveModel(folder, {
    name: 'untrained',
    version: 1,
    description: 'A network as it is initialised.',
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
      ...deviceFacts(await engine.environment()),
    },
    scores: {},
  });
}
