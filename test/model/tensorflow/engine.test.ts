import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine, type EngineModel } from '../../../model/engine/engine.js';
import type { TileBatch } from '../../../model/network/frozen.js';
import { PLAIN_TRAINING } from '../../../model/train/trainer.js';
import { testFolder } from '../../support/files.js';
import { difference, noise } from '../../support/oracle.js';
import { pattern } from '../../support/rasters.js';
import { tensorflow, titled } from '../../support/tensorflow.js';

const folder = await testFolder();
const MEMBRANE = fileURLToPath(new URL('../../../../models/em-membrane/', import.meta.url));
const use = { output: 'probabilities', symmetries: false, channels: 1 } as const;

/** A textured batch; new each time, since it is transferred. */
function batch(count = 1): TileBatch {
  const tile = pattern(212, 188);
  const data = new Uint8Array(count * tile.data.length);
  for (let i = 0; i < count; i++) data.set(tile.data as Uint8Array, i * tile.data.length);
  return { ...tile, data, count };
}

describe.skipIf(!tensorflow)(titled('an engine on TensorFlow'), () => {
  let engines: readonly [onnx: Engine, own: Engine];
  let models: readonly [EngineModel, EngineModel];

  beforeAll(async () => {
    engines = [
      Engine.start({ provider: 'cpu', threads: 1 }),
      Engine.start({ provider: 'cpu', tensorflow: tensorflow!, threads: 1, lanes: 1 }),
    ];
    models = [await engines[0].load(join(MEMBRANE, '1')), await engines[1].load(join(MEMBRANE, '1'))];
  });
  afterAll(() => Promise.all(engines.map((engine) => engine.close())));

  it('computes what ours does, but for last bits', async () => {
    for (const output of ['probabilities', 'both'] as const) {
      const [ours, theirs] = await Promise.all(
        engines.map((engine, i) => engine.predict(models[i]!.id, batch(), output)),
      );
      expect(difference([...ours!], [...theirs!])).toBeLessThan(1e-5);
    }
  });

  it('computes the same bits again, and labels that follow from them', async () => {
    const [, engine] = engines;
    const predict = (output: 'labels' | 'both') => engine.predict(models[1].id, batch(), output);
    const [labels, first, second] = [await predict('labels'), await predict('both'), await predict('both')];
    expect(first).toEqual(second);
    expect([...labels]).toEqual([...first].filter((_, i) => i % 3 === 2));
  });

  it('states how much its tiles differ from the whole, alone or in batches', async () => {
    const { exact, largestDifference } = await engines[1].tested(models[1], use);
    expect(exact).toBe(largestDifference === 0);
    expect(largestDifference).toBeLessThan(1e-5);
  });

  it('is another environment than ours', async () => {
    const [ours, theirs] = models.map(({ environment }) => environment);
    expect(ours).toMatchObject({ engine: 'onnx', versions: { 'onnxruntime-node': expect.any(String) } });
    expect(theirs).toMatchObject({ engine: 'tensorflow', provider: 'cpu', channelBlock: null });
    expect(process.env.CUDA_VISIBLE_DEVICES).toBe('-1'); // of several GPUs, receipts could not say which computed
    expect(Object.keys(theirs!.versions)).toEqual(expect.arrayContaining([tensorflow!.name, 'tensorflow']));
    expect(Object.keys(theirs!.versions)).not.toContain('onnxruntime-node');
  });

  it('refuses quantised versions, which compute with bytes', async () => {
    await expect(engines[1].load(join(MEMBRANE, '1-int8'))).rejects.toMatchObject({
      code: 'bad-request',
      message: expect.stringContaining('--engine onnx'),
    });
  });

  it('trains as ours does: ten steps have the same losses, and the model is read by both', async () => {
    const unet = { channels: [3, 4, 5], inputChannels: 1, classes: 3, seed: 1 } as const;
    const losses = [];
    for (const engine of engines) {
      const trainee = await engine.train({ unet, ...PLAIN_TRAINING });
      const own = [];
      for (let seed = 0; seed < 10; seed++) {
        const labels = Uint8Array.from(noise(2 * 20 * 20, seed + 1, 0, 3));
        const weights = noise(2 * 20 * 20, seed + 2, 0, 3);
        const pixels = noise(2 * 60 * 60, seed, 0, 1);
        const crops = { pixels, labels, weights, count: 2, side: 60, channels: 1 };
        own.push(await trainee.step(crops, { learningRate: 3e-3 }));
      }
      await trainee.saveState(join(folder, `state-${losses.length}`), null);
      losses.push(own);
    }
    const [ours, theirs] = losses as [number[], number[]];
    for (const [i, loss] of ours.entries()) expect(Math.abs(theirs[i]! - loss) / loss).toBeLessThan(1e-4);
    const resumed = await engines[0].train({ unet, ...PLAIN_TRAINING });
    expect(await resumed.loadState(join(folder, 'state-1'))).toBe(null);
  });
});
