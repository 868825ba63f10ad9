import type { Augmentation } from '../../model/train/augment.js';
import { AUGMENTATIONS } from '../../model/train/augment.js';
import type { LossKind, OptimizerConfig } from '../../model/train/choices.js';
import type { ScheduleConfig } from '../../model/train/schedule.js';
import type { UnetConfig } from '../../model/unet.js';
import type { Border } from '../../tiling/reader.js';
import type { Monitor } from './monitor.js';

/** The network, but for what the data decides. */
export type NetSettings = Omit<UnetConfig, 'classes' | 'seed'>;

/** How a network is trained: every option that a preset may set. */
export interface TrainingSettings {
  readonly unet: NetSettings;
  /** Side of the crops, in px. */
  readonly tile: number;
  readonly batch: number;
  /** Batches whose gradients make one step: the effective batch is `batch · accumulate`. */
  readonly accumulate: number;
  readonly epochs: number;
  /** Steps in an epoch; null for as many as see each picture once. */
  readonly epochSteps: number | null;
  readonly patience: number | null;
  /** By what the best network is chosen; null for what suits the classes' balance, see `monitorFor`. */
  readonly monitor: Monitor | null;
  readonly loss: LossKind;
  /** `none`, `balanced` (inverse to the classes' frequencies, their mean 1), or one for each class. */
  readonly classWeights: 'none' | 'balanced' | readonly number[];
  readonly border: { readonly w0: number; readonly sigma: number; readonly live: boolean } | null;
  readonly labelBorder: Border;
  readonly augmentation: Augmentation;
  readonly optimizer: OptimizerConfig;
  readonly schedule: ScheduleConfig;
}

const PAPER_CHANNELS = [64, 128, 256, 512, 1024];
const adam: OptimizerConfig = { kind: 'adam', momentum: 0.9, weightDecay: 0.01, clipNorm: null };
const sgd: OptimizerConfig = { ...adam, kind: 'sgd', momentum: 0.99 };
const constant = (learningRate: number): ScheduleConfig => ({
  ...{ kind: 'constant', learningRate, stepEpochs: 10, stepFactor: 0.1 },
});

const plain: TrainingSettings = {
  unet: { channels: PAPER_CHANNELS, inputChannels: 1 },
  ...{ tile: 572, batch: 1, accumulate: 1, epochs: 100, epochSteps: null, patience: null, monitor: null },
  ...{ loss: 'cross-entropy', classWeights: 'none', border: null, labelBorder: 'reflect' },
  augmentation: AUGMENTATIONS.none,
  optimizer: adam,
  schedule: constant(1e-4),
};

/** Trainings by name: what each reproduces is told in docs/training.md. */
export const PRESETS = {
  quick: {
    ...plain,
    unet: { channels: [16, 32, 64, 128], inputChannels: 1 },
    ...{ tile: 252, batch: 2, epochs: 20, epochSteps: 200 },
    // in so short a training, deforming costs more than it brings: what is interpolated is less noisy
    augmentation: AUGMENTATIONS.dihedral,
    schedule: { ...constant(2e-3), kind: 'one-cycle' },
  },
  paper: {
    ...plain,
    unet: { channels: PAPER_CHANNELS, inputChannels: 1, dropout: 0.5 },
    classWeights: 'balanced',
    border: { w0: 10, sigma: 5, live: false },
    augmentation: AUGMENTATIONS.paper,
    optimizer: sgd,
    schedule: constant(1e-3),
  },
  'isbi-2012': {
    ...plain,
    unet: { channels: PAPER_CHANNELS, inputChannels: 1, head: 'sigmoid' },
    ...{ epochs: 1000, patience: 100 },
    border: { w0: 10, sigma: 5, live: true },
    augmentation: AUGMENTATIONS['isbi-2012'],
    optimizer: sgd,
    schedule: constant(1e-2),
  },
  notebook: {
    ...plain,
    unet: { channels: [16, 32, 64], inputChannels: 1, convolutions: 1, padding: 'same' },
    ...{ tile: 56, batch: 20, epochs: 11 },
    schedule: constant(1e-3),
  },
  'first-principles': {
    ...plain,
    unet: { channels: PAPER_CHANNELS, inputChannels: 1, upConvolution: 'nearest' },
  },
  'depth-features': {
    ...plain,
    ...{ classWeights: 'balanced', labelBorder: 'edge' },
  },
  'encoder-decoder': {
    ...plain,
    unet: {
      ...{ channels: [16, 32, 64, 128, 256], decoderChannels: [128, 64, 32, 16], inputChannels: 3 },
      outputSize: 316,
    },
    tile: 316,
    schedule: constant(1e-3),
  },
} as const satisfies Record<string, TrainingSettings>;

export type PresetName = keyof typeof PRESETS;

/** Weights of classes by their pixels. */
export function classWeightsOf(
  setting: TrainingSettings['classWeights'],
  frequencies: readonly number[],
): readonly number[] {
  if (setting === 'none') return frequencies.map(() => 1);
  if (setting !== 'balanced') return setting;
  const present = frequencies.filter((n) => n > 0);
  const inverse = present.reduce((sum, n) => sum + 1 / n, 0) / present.length;
  return frequencies.map((n) => (n > 0 ? 1 / n / inverse : 1));
}
