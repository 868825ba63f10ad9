import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import type { TrainEvent } from '../../../model/train/loop.js';
import type { TrainingBatch } from '../../../model/train/trainer.js';
import { openDataset } from '../../../server/training/dataset.js';
import { runTraining } from '../../../server/training/run.js';
import { type RunConfig, runFolder } from '../../../server/training/run-config.js';
import { PRESETS, type TrainingSettings } from '../../../server/training/settings.js';
import { splitPairs } from '../../../server/training/split.js';
import { type PixelRule, scriptedEngine } from '../../support/fake-engine.js';
import { testFolder } from '../../support/files.js';

const folder = await testFolder();
const side = 20;

/** Writes a gray picture of 8 bits. */
async function picture(path: string, values: ArrayLike<number>): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true });
  const raw = { width: side, height: side, channels: 1 as const };
  await sharp(Uint8Array.from(values), { raw }).toColourspace('b-w').png().toFile(path);
}

/** Makes a data set of pictures and their labels, by name. */
async function dataOf(name: string, labels: Record<string, number[]>, gray = (label: number) => label) {
  const [images, truths] = [join(folder, name, 'images'), join(folder, name, 'labels')];
  for (const [stem, values] of Object.entries(labels)) {
    await picture(join(images, `${stem}.png`), values.map(gray));
    await picture(
      join(truths, `${stem}.png`),
      values.map((label) => Math.min(label, 1)),
    );
  }
  const rules = { classes: 2, ignore: null, legend: null, labelBorder: 'reflect', inputChannels: 1 } as const;
  return openDataset({ images, labels: truths, ...rules }, { scratchDir: folder, maxPixels: 1e6 });
}

const settings: TrainingSettings = {
  ...PRESETS.quick,
  ...{ tile: 16, batch: 2, epochs: 2, epochSteps: 1 },
  augmentation: { ...PRESETS.quick.augmentation, flip: false, transpose: false, rotate90: false },
};
const configOf = (change: Partial<TrainingSettings>): RunConfig =>
  ({
    ...{ images: '', labels: '', name: 'net', version: 1, legend: null, ignore: null },
    classes: ['background', 'cell'].map((name) => ({ name, colour: null })),
    ...{ validation: ['v'], test: [], settings: { ...settings, ...change }, from: null },
    ...{ freezeEncoder: false, seed: 1, command: '', description: '', micronsPerPixel: null },
    data: { description: '', citation: null, terms: '' },
  }) as RunConfig;

/** Runs a training whose network says what the rule says. */
async function run(
  name: string,
  labels: Record<string, number[]>,
  rule: PixelRule,
  change: Partial<TrainingSettings> = {},
) {
  const dataset = await dataOf(name, labels);
  const config = configOf(change);
  const [events, seen]: [TrainEvent[], TrainingBatch[]] = [[], []];
  const versionFolder = join(folder, name, 'models', 'net', '1');
  const card = await runTraining({
    ...{ engine: scriptedEngine(rule, seen), dataset, config, folder: versionFolder, resume: false },
    split: splitPairs(dataset.pairs, config),
    signal: new AbortController().signal,
    onMap: () => {},
    onStart: async () => {
      await mkdir(runFolder(versionFolder).training, { recursive: true });
    },
    onEvent: (event) => void events.push(event),
    onPrediction: () => {},
  });
  const epochs = events.filter((event) => event.type === 'epoch');
  return { card: card!, epochs, seen };
}

/** A picture of so many pixels of some values, and 0 in the rest. */
const pixels = (counts: Record<number, number>): number[] => {
  const values = Object.entries(counts).flatMap(([value, n]) => Array<number>(n).fill(Number(value)));
  return [...values, ...Array<number>(side * side - values.length).fill(0)];
};

describe('balanced class weights', () => {
  it('are those of the images that are trained on, not of those that are held back', async () => {
    const labels = { a: pixels({ 1: 100 }), b: pixels({ 1: 100 }), v: pixels({ 1: 400 }) };
    const { seen } = await run('balance', labels, () => [1, 0], { classWeights: 'balanced' });
    const [{ labels: found, weights }] = seen as [TrainingBatch];
    const weightOf = (label: number) => weights[found.indexOf(label)]!;
    // a quarter of the training's pixels are cells
    expect(weightOf(1) / weightOf(0)).toBeCloseTo(3, 5);
  });
});
