import { AUGMENTATIONS } from '../../model/train/augment.js';
import type { OptimizerConfig } from '../../model/train/choices.js';
import type { ScheduleConfig } from '../../model/train/schedule.js';
import type { TrainingSettings } from './settings.js';

const PAPER_CHANNELS = [64, 128, 256, 512, 1024];
const ADAM: OptimizerConfig = { kind: 'adam', momentum: 0.9, weightDecay: 0.01, clipNorm: null };
const SGD: OptimizerConfig = { ...ADAM, kind: 'sgd', momentum: 0.99 };

const constant = (learningRate: number): ScheduleConfig => {
  return { kind: 'constant', learningRate, stepEpochs: 10, stepFactor: 0.1 };
};

const BASE: TrainingSettings = {
  unet: { channels: PAPER_CHANNELS, inputChannels: 1 },
  tile: 572,
  batch: 1,
  accumulate: 1,
  epochs: 100,
  epochSteps: null,
  patience: null,
  monitor: null,
  loss: 'cross-entropy',
  classWeights: 'none',
  border: null,
  labelBorder: 'reflect',
  augmentation: AUGMENTATIONS.none,
  optimizer: ADAM,
  schedule: constant(1e-4),
};

/** Named settings; `docs/training.md` says what each reproduces. */
export const PRESETS = {
  quick: {
    ...BASE,
    unet: { channels: [16, 32, 64, 128], inputChannels: 1 },
    tile: 252,
    batch: 2,
    epochs: 20,
    epochSteps: 200,
    // elastic deformation does not pay in so short a training: interpolated crops are less noisy than the images
    augmentation: AUGMENTATIONS.dihedral,
    schedule: { ...constant(2e-3), kind: 'one-cycle' },
  },
  paper: {
    ...BASE,
    unet: { channels: PAPER_CHANNELS, inputChannels: 1, dropout: 0.5 },
    classWeights: 'balanced',
    border: { w0: 10, sigma: 5, live: false },
    augmentation: AUGMENTATIONS.paper,
    optimizer: SGD,
    schedule: constant(1e-3),
  },
  'isbi-2012': {
    ...BASE,
    unet: { channels: PAPER_CHANNELS, inputChannels: 1, head: 'sigmoid' },
    epochs: 1000,
    patience: 100,
    border: { w0: 10, sigma: 5, live: true },
    augmentation: AUGMENTATIONS['isbi-2012'],
    optimizer: SGD,
    schedule: constant(1e-2),
  },
  notebook: {
    ...BASE,
    unet: { channels: [16, 32, 64], inputChannels: 1, convolutions: 1, padding: 'same' },
    tile: 56,
    batch: 20,
    epochs: 11,
    schedule: constant(1e-3),
  },
  'first-principles': {
    ...BASE,
    unet: { channels: PAPER_CHANNELS, inputChannels: 1, upConvolution: 'nearest' },
  },
  'depth-features': { ...BASE, classWeights: 'balanced', labelBorder: 'edge' },
  'encoder-decoder': {
    ...BASE,
    unet: {
      channels: [16, 32, 64, 128, 256],
      decoderChannels: [128, 64, 32, 16],
      inputChannels: 3,
      outputSize: 316,
    },
    tile: 316,
    schedule: constant(1e-3),
  },
} as const satisfies Record<string, TrainingSettings>;

export type PresetName = keyof typeof PRESETS;
