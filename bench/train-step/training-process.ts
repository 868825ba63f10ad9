import { Engine } from '../../model/engine/engine.js';
import type { Trainee } from '../../model/engine/trainee.js';
import { AUGMENTATIONS } from '../../model/train/augment.js';
import type { TrainingBatch } from '../../model/train/batch.js';
import { PLAIN_TRAINING } from '../../model/train/trainer.js';
import { LabelCodec } from '../../server/training/data/labels.js';
import { Sampler } from '../../server/training/data/sampler.js';
import type { Raster } from '../../tiling/raster.js';
import { paintMembranes } from '../../tiling/samples/membranes.js';
import { memorySource } from '../../tiling/sources/memory.js';
import { networkOf } from './network.js';
import type { Feeding, Measured, TrainingOptions } from './training.js';

// The process of a training: measures steps for each message, until its parent disconnects.

const { base, side, threads, steps } = JSON.parse(process.argv[2]!) as TrainingOptions;
const engine = Engine.start({ provider: 'cpu', threads });
const trainee = await engine.train({ unet: networkOf(base), ...PLAIN_TRAINING });
const sampler = await membraneSampler(trainee);
let drawn = 0;
const draw = () => sampler.batch(0, drawn++);
const options = { learningRate: 1e-3 };

const mean = async (work: () => Promise<unknown>): Promise<number> => {
  const started = performance.now();
  await work();
  return (performance.now() - started) / steps;
};

const TASKS: Record<Feeding, () => Promise<number>> = {
  bare: async () => {
    const batch = await draw();
    const batches = Array.from({ length: steps }, () => copyOf(batch));
    return mean(async () => {
      for (const each of batches) await trainee.step(each, options);
    });
  },
  full: async () => {
    let next = draw();
    await next; // in steady state, a batch is prepared during the step before it
    return mean(async () => {
      for (let i = 0; i < steps; i++) {
        const stepping = trainee.step(await next, options);
        next = draw();
        await stepping;
      }
      await next;
    });
  },
};

process.on('message', async (feeding: Feeding) => {
  const ms = await TASKS[feeding]();
  const measured: Measured = { ms, peakMb: Math.round(process.resourceUsage().maxRSS / 1024) };
  process.send!(measured);
});
process.on('disconnect', () => engine.close());
process.send!('ready');

function copyOf({ pixels, labels, weights, ...rest }: TrainingBatch): TrainingBatch {
  return { ...rest, pixels: pixels.slice(), labels: labels.slice(), weights: weights.slice() };
}

/** Samples crops of synthetic membranes, with the paper's augmentation and weight map. */
function membraneSampler({ facts }: Trainee): Promise<Sampler> {
  const pairs = [1, 2, 3].map((seed) => {
    const rect = { x: 0, y: 0, width: 700, height: 700 };
    const [image, labels] = [new Uint8Array(700 * 700), new Uint8Array(700 * 700)];
    paintMembranes(rect, seed, image, labels);
    const raster = (data: Uint8Array): Raster => ({ data, width: 700, height: 700, channels: 1 });
    return { stem: `${seed}`, image: memorySource(raster(image)), labels: memorySource(raster(labels)) };
  });
  const counts = new Map([0, 1].map((label) => [label, 1]));
  const codec = new LabelCodec({ classes: 2, ignore: null, legend: null }, counts);
  return Sampler.create(
    pairs,
    { codec, labelBorder: 'reflect' },
    {
      tile: side,
      halo: facts.geometry.halo,
      batch: 1,
      epochSteps: null,
      seed: 1,
      augmentation: AUGMENTATIONS.paper,
      classWeights: [1, 1],
      border: { w0: 10, sigma: 5, live: false },
    },
  );
}
