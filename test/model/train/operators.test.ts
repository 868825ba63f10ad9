import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OnnxBackend } from '../../../model/onnx/backend.js';
import { useOnnxBackend } from '../../../model/onnx/register.js';
import { PLAIN_TRAINING, Trainer, type TrainerConfig } from '../../../model/train/trainer.js';
import { testFolder } from '../../support/files.js';

/**
 * The operators that training uses, all of which have CUDA and WebGPU kernels in ONNX Runtime, for floats of 32 and of 16
 * bits. What is added here must have them, too: others are computed on the CPU, and cost two copies over the bus.
 */
const OPERATORS = [
  ...['Abs', 'Add', 'AveragePool', 'BatchNormalization', 'Cast', 'Concat', 'Conv', 'DepthToSpace', 'Div'],
  ...[
    'Einsum',
    'Equal',
    'Exp',
    'Gather',
    'Gemm',
    'Greater',
    'GreaterOrEqual',
    'HardSigmoid',
    'Identity',
    'LeakyRelu',
  ],
  ...['Log', 'MaxPool', 'Mul', 'Neg', 'Pad', 'Reciprocal', 'ReduceMax', 'ReduceMean', 'ReduceSum', 'Relu'],
  ...['Reshape', 'Resize', 'Slice', 'Sqrt', 'Sub', 'Tile', 'Transpose', 'Unsqueeze', 'Where'],
];

/** No number of channels that a CPU has blocks for, so that the graphs are those of every device. */
const CHANNELS = [3, 5, 7];

const TRAININGS: Record<string, Omit<TrainerConfig, 'unet'> & { readonly unet?: object }> = {
  'a plain network': PLAIN_TRAINING,
  'batch normalisation and dropout': { ...PLAIN_TRAINING, unet: { batchNorm: true, dropout: 0.5 } },
  'one logit, padded convolutions and doubled pixels': {
    ...PLAIN_TRAINING,
    unet: { classes: 2, head: 'sigmoid', padding: 'same', upConvolution: 'nearest' },
  },
  'mixed precision': { ...PLAIN_TRAINING, precision: 'fp16' },
  'both losses': { ...PLAIN_TRAINING, loss: 'cross-entropy+dice' },
};

describe('a training uses operators only that every device has', async () => {
  const graphsDir = join(await testFolder(), 'graphs');
  let backend: OnnxBackend;
  beforeAll(async () => {
    backend = await useOnnxBackend({
      provider: 'cpu',
      threads: 1,
      maxSessions: 4,
      diagnostics: { graphsDir },
    });
  });
  afterAll(() => backend.close());

  it.each(Object.entries(TRAININGS))('%s', async (_name, { unet, ...training }) => {
    await rm(graphsDir, { recursive: true, force: true });
    const network = { channels: CHANNELS, inputChannels: 1, classes: 3, seed: 1, ...unet } as const;
    const trainer = await Trainer.create({ ...training, unet: network });
    const side = 60;
    const { top, left, bottom, right } = trainer.geometry.halo;
    const pixels = (side - top - bottom) * (side - left - right);
    const batch = {
      pixels: new Float32Array(side * side).fill(0.5),
      labels: new Uint8Array(pixels),
      weights: new Float32Array(pixels).fill(1),
    };
    await trainer.step({ ...batch, count: 1, side, channels: 1 }, { learningRate: 1e-3 });
    trainer.dispose();
    const listings = (await readdir(graphsDir)).filter((name) => name.endsWith('.txt'));
    const texts = await Promise.all(listings.map((name) => readFile(join(graphsDir, name), 'utf8')));
    const used = texts.flatMap((text) => [...text.matchAll(/ = ([\w.:]+)\(/g)].map(([, type]) => type!));
    expect(used).toContain('GreaterOrEqual');
    expect([...new Set(used)].filter((type) => !OPERATORS.includes(type))).toEqual([]);
  });
});
