import { z } from 'zod';
import { MAX_INPUT_CHANNELS } from '../../model/network/normalisation.js';
import type { UnetConfig } from '../../model/network/unet.js';
import { unetOptions } from '../../model/shelf/card.js';
import type { Augmentation } from '../../model/train/augment.js';
import { LOSSES, type LossKind, OPTIMIZERS, type OptimizerConfig } from '../../model/train/choices.js';
import { SCHEDULES, type ScheduleConfig } from '../../model/train/schedule.js';
import type { Border } from '../../tiling/reader.js';
import { MONITORS, type Monitor } from './monitor.js';

/** The network, except for what the data decides. */
type NetSettings = Omit<UnetConfig, 'classes' | 'seed'>;

/** How a network is trained: every setting of a preset. */
export interface TrainingSettings {
  readonly unet: NetSettings;
  /** Side of the crops, the network's input, in px; such as 252. */
  readonly tile: number;
  /** Crops in a batch, at least 1. */
  readonly batch: number;
  /** Batches whose gradients are averaged into one step, at least 1: the effective batch is `batch · accumulate`. */
  readonly accumulate: number;
  /** Epochs at most, at least 1. */
  readonly epochs: number;
  /** Optimiser steps in an epoch, at least 1; null for as many as cover each image once. */
  readonly epochSteps: number | null;
  /** Early stopping after this many epochs without a better network; null for never. */
  readonly patience: number | null;
  /** The score that selects the best network; null for the one that suits the class balance, see `monitorFor`. */
  readonly monitor: Monitor | null;
  readonly loss: LossKind;
  /** `none`; `balanced`, inverse to the class frequencies with a mean of 1; or one weight for each class. */
  readonly classWeights: 'none' | 'balanced' | readonly number[];
  /** The border term of the weight map; `live` computes it on each crop after its deformation. Null for none. */
  readonly border: { readonly w0: number; readonly sigma: number; readonly live: boolean } | null;
  /** How labels are continued outside their image. */
  readonly labelBorder: Border;
  readonly augmentation: Augmentation;
  readonly optimizer: OptimizerConfig;
  readonly schedule: ScheduleConfig;
}

const positive = z.int().min(1);
const channels = z.array(positive);

/** Settings as they are stored. Strict: a setting that this version does not know must not be dropped silently. */
export const settingsSchema: z.ZodType<TrainingSettings> = z.strictObject({
  unet: z.strictObject({
    channels,
    decoderChannels: channels.exactOptional(),
    inputChannels: z.int().min(1).max(MAX_INPUT_CHANNELS),
    ...unetOptions,
    outputSize: positive.exactOptional(),
  }),
  tile: positive,
  batch: positive,
  accumulate: positive,
  epochs: positive,
  epochSteps: positive.nullable(),
  patience: positive.nullable(),
  // format version 1 had no choice
  monitor: z.enum(MONITORS).nullable().default('pixelError'),
  loss: z.enum(LOSSES),
  classWeights: z.union([z.enum(['none', 'balanced']), z.array(z.number())]),
  border: z.strictObject({ w0: z.number(), sigma: z.number(), live: z.boolean() }).nullable(),
  labelBorder: z.enum(['reflect', 'edge']),
  augmentation: z.strictObject({
    flip: z.boolean(),
    transpose: z.boolean(),
    rotate90: z.boolean(),
    shift: z.number(),
    scale: z.number(),
    rotate: z.number(),
    elastic: z.number(),
    dense: z.number(),
    denseSigma: z.number(),
    noise: z.number(),
    speckle: z.number(),
    brightness: z.number(),
    contrast: z.number(),
    gamma: z.number(),
  }),
  optimizer: z.strictObject({
    kind: z.enum(OPTIMIZERS),
    momentum: z.number(),
    weightDecay: z.number(),
    clipNorm: z.number().nullable(),
  }),
  schedule: z.strictObject({
    kind: z.enum(SCHEDULES),
    learningRate: z.number(),
    stepEpochs: z.number(),
    stepFactor: z.number(),
  }),
});

/** Weights of classes by their frequencies, numbers of pixels; a class without pixels weighs 1. */
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
