import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { beforeAll, describe, expect, it } from 'vitest';
import { tileGeometryOf } from '../../../model/network/geometry.js';
import { buildUnet } from '../../../model/network/unet.js';
import { PRESETS, type PresetName } from '../../../server/training/presets.js';
import type { TrainingSettings } from '../../../server/training/settings.js';
import { onnxBesideCpu } from '../../support/oracle.js';

beforeAll(async () => {
  await onnxBesideCpu();
  await tf.setBackend('cpu');
});

/** Number of parameters, with the classes of the system that the preset reproduces, and the logits' side. */
const KNOWN: Record<PresetName, { classes: number; parameters: number; tile: number; out: number }> = {
  quick: { classes: 2, parameters: 481_762, tile: 252, out: 164 },
  paper: { classes: 2, parameters: 31_030_658, tile: 572, out: 388 },
  'isbi-2012': { classes: 2, parameters: 31_030_593, tile: 572, out: 388 },
  notebook: { classes: 3, parameters: 56_723, tile: 56, out: 56 },
  'first-principles': { classes: 2, parameters: 31_030_658, tile: 572, out: 373 },
  'depth-features': { classes: 2, parameters: 31_030_658, tile: 572, out: 388 },
  'encoder-decoder': { classes: 2, parameters: 1_941_122, tile: 316, out: 316 },
};

describe('the presets', () => {
  it.each(Object.entries(KNOWN))('%s has the published parameters and shapes', (name, known) => {
    const { unet, tile }: TrainingSettings = PRESETS[name as PresetName];
    expect(tile).toBe(known.tile);
    const model = buildUnet({ ...unet, classes: known.classes, seed: 1 }, tile);
    expect(model.countParams()).toBe(known.parameters);
    const logits = model.getLayer(unet.outputSize ? 'resized' : 'logits').output as tfl.SymbolicTensor;
    expect(logits.shape.slice(1, 3)).toEqual([known.out, known.out]);
    const { smallest, multiple } = tileGeometryOf(model);
    expect((tile - smallest) % multiple).toBe(0);
    model.dispose();
  });

  it('are all covered by this test', () => {
    expect(Object.keys(PRESETS).sort()).toEqual(Object.keys(KNOWN).sort());
  });
});
