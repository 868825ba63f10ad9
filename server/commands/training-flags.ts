import type { UnetConfig } from '../../model/network/unet.js';
import type { Augmentation } from '../../model/train/augment.js';
import type { LossKind, OptimizerConfig } from '../../model/train/choices.js';
import type { ScheduleConfig } from '../../model/train/schedule.js';
import type { Border } from '../../tiling/reader.js';
import { RequestError } from '../contract/errors.js';
import type { ImageChannels } from '../training/data/image-channels.js';
import type { Monitor } from '../training/monitor.js';
import { PRESETS, type PresetName } from '../training/presets.js';
import type { TrainingSettings } from '../training/settings.js';

/** The options that `settingOptions` adds; a missing one is the preset's. */
export interface SettingFlags {
  readonly preset: PresetName;
  readonly channels?: number[];
  readonly decoderChannels?: number[];
  readonly depth?: number;
  readonly features?: number;
  readonly inputChannels?: number;
  readonly imageChannels?: ImageChannels;
  readonly head?: NonNullable<UnetConfig['head']>;
  readonly convolutions?: '1' | '2';
  readonly padding?: NonNullable<UnetConfig['padding']>;
  readonly upConvolution?: NonNullable<UnetConfig['upConvolution']>;
  readonly batchNorm?: boolean;
  readonly dropout?: number;
  readonly outputSize?: number;
  readonly tile?: number;
  readonly batch?: number;
  readonly accumulate?: number;
  readonly epochs?: number;
  readonly epochSteps?: number;
  readonly patience?: number;
  readonly monitor?: Monitor;
  readonly loss?: LossKind;
  readonly classWeights?: TrainingSettings['classWeights'];
  readonly borderWeight?: number;
  readonly borderSigma?: number;
  readonly borderLive?: boolean;
  readonly labelBorder?: Border;
  readonly augment?: Augmentation;
  readonly optimizer?: OptimizerConfig['kind'];
  readonly momentum?: number;
  readonly weightDecay?: number;
  readonly clip?: number;
  readonly schedule?: ScheduleConfig['kind'];
  readonly learningRate?: number;
  readonly stepEpochs?: number;
  readonly stepFactor?: number;
}

/**
 * The settings of a preset, overridden by options.
 * @throws RequestError for options that contradict each other
 */
export function settingsOf(flags: SettingFlags): TrainingSettings {
  const preset: TrainingSettings = PRESETS[flags.preset];
  const { optimizer, schedule, unet } = preset;
  const border = flags.borderWeight === 0 ? null : preset.border;
  const isWeighted = border !== null || (flags.borderWeight ?? 0) > 0;
  if (!isWeighted && (flags.borderSigma !== undefined || flags.borderLive)) {
    throw new RequestError('bad-request', '--border-sigma and --border-live need --border-weight');
  }
  return {
    unet: {
      ...unet,
      ...channelsOf(flags, unet.channels),
      ...defined({
        head: flags.head,
        padding: flags.padding,
        upConvolution: flags.upConvolution,
        batchNorm: flags.batchNorm,
        dropout: flags.dropout,
        outputSize: flags.outputSize,
      }),
      ...inputOf(flags),
      ...(flags.convolutions && { convolutions: Number(flags.convolutions) as 1 | 2 }),
    },
    tile: flags.tile ?? preset.tile,
    batch: flags.batch ?? preset.batch,
    accumulate: flags.accumulate ?? preset.accumulate,
    epochs: flags.epochs ?? preset.epochs,
    epochSteps: flags.epochSteps === 0 ? null : (flags.epochSteps ?? preset.epochSteps),
    monitor: flags.monitor ?? preset.monitor,
    patience: flags.patience === 0 ? null : (flags.patience ?? preset.patience),
    loss: flags.loss ?? preset.loss,
    classWeights: flags.classWeights ?? preset.classWeights,
    border: isWeighted
      ? {
          w0: flags.borderWeight ?? border!.w0,
          sigma: flags.borderSigma ?? border?.sigma ?? 5,
          live: flags.borderLive ?? border?.live ?? false,
        }
      : null,
    labelBorder: flags.labelBorder ?? preset.labelBorder,
    augmentation: flags.augment ?? preset.augmentation,
    optimizer: {
      ...optimizer,
      ...defined({ kind: flags.optimizer, momentum: flags.momentum, weightDecay: flags.weightDecay }),
      ...(flags.clip !== undefined && { clipNorm: flags.clip === 0 ? null : flags.clip }),
    },
    schedule: {
      ...schedule,
      ...defined({
        kind: flags.schedule,
        learningRate: flags.learningRate,
        stepEpochs: flags.stepEpochs,
        stepFactor: flags.stepFactor,
      }),
    },
  };
}

/** Channels from a list, or from a depth and the first level's channels, doubled at each level. */
function channelsOf(flags: SettingFlags, preset: readonly number[]): Partial<TrainingSettings['unet']> {
  const { channels, decoderChannels, depth, features } = flags;
  if (depth === undefined && features === undefined) return defined({ channels, decoderChannels });
  if (channels)
    throw new RequestError('bad-request', '--depth and --features replace --channels: use one or the other');
  const levels = (depth ?? preset.length - 1) + 1;
  const first = features ?? preset[0]!;
  return {
    channels: Array.from({ length: levels }, (_, i) => first * 2 ** i),
    ...defined({ decoderChannels }),
  };
}

/** The properties that are not undefined. */
function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, v]) => v !== undefined)) as never;
}

/** The channels of the network's input: those that are named, or as many as are requested. */
function inputOf({ inputChannels, imageChannels }: SettingFlags): { readonly inputChannels?: number } {
  const named = imageChannels?.named.length;
  if (named !== undefined && inputChannels !== undefined && named !== inputChannels) {
    throw new RequestError(
      'bad-request',
      `--image-channels names ${named}, and --input-channels is ${inputChannels}: leave one of them out`,
    );
  }
  const count = named ?? inputChannels;
  return count === undefined ? {} : { inputChannels: count };
}
