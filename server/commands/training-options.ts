import { type Command, Option } from 'commander';
import { AUGMENTATIONS, type Augmentation } from '../../model/train/augment.js';
import { LOSSES, type LossKind, OPTIMIZERS, type OptimizerConfig } from '../../model/train/choices.js';
import { SCHEDULES, type ScheduleConfig } from '../../model/train/schedule.js';
import type { UnetConfig } from '../../model/unet.js';
import type { Border } from '../../tiling/reader.js';
import { RequestError } from '../contract/errors.js';
import { integer, positive } from '../terminal/flag-values.js';
import { MONITORS, type Monitor } from '../training/monitor.js';
import { PRESETS, type PresetName } from '../training/presets.js';
import type { TrainingSettings } from '../training/settings.js';
import { fraction, notNegative, numbers, parseAugmentation, parseClassWeights } from './training-values.js';

/** What the options of a training set; those that are not given are the preset's. */
export interface SettingFlags {
  readonly preset: PresetName;
  readonly channels?: number[];
  readonly decoderChannels?: number[];
  readonly depth?: number;
  readonly features?: number;
  readonly inputChannels?: '1' | '3';
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

export function settingOptions(command: Command): Command {
  const choice = (flags: string, text: string, values: readonly string[]) =>
    new Option(flags, text).choices([...values]);
  return command
    .addOption(
      choice('--preset <name>', 'where all settings start from', Object.keys(PRESETS)).default('quick'),
    )
    .optionsGroup('The network:')
    .option('--channels <list>', 'feature channels of each level, from the image down', numbers)
    .option('--decoder-channels <list>', "those of the decoder's levels, from the bottom up", numbers)
    .option('--depth <n>', 'poolings; with --features, instead of --channels', integer(1, 10))
    .option('--features <n>', 'channels of the first level, doubled at each pooling', integer(1, 4096))
    .addOption(choice('--input-channels <n>', 'gray or RGB', ['1', '3']))
    .addOption(choice('--head <kind>', 'a logit for each class, or one for two', ['softmax', 'sigmoid']))
    .addOption(choice('--convolutions <n>', 'a level', ['1', '2']))
    .addOption(choice('--padding <kind>', 'of the convolutions', ['valid', 'same']))
    .addOption(
      choice('--up-convolution <kind>', '2×2 with stride 2, or doubled pixels', ['transposed', 'nearest']),
    )
    .option('--batch-norm', 'normalise batches before each ReLU')
    .option('--dropout <share>', 'at the end of the contracting path', fraction)
    .option('--output-size <px>', 'resize the logits; such a model is not exact', integer(1, 8192))
    .optionsGroup('Crops:')
    .option('--tile <px>', "side of the crops, the network's input", integer(1, 8192))
    .option('--batch <n>', 'crops that are computed together', integer(1, 256))
    .option('--accumulate <n>', 'batches whose gradients make one step', integer(1, 1024))
    .option(
      '--augment <list>',
      `${Object.keys(AUGMENTATIONS).join(', ')}, or a list; see docs/training.md`,
      parseAugmentation,
    )
    .addOption(choice('--label-border <kind>', 'what labels say outside their image', ['reflect', 'edge']))
    .optionsGroup('The loss:')
    .addOption(choice('--loss <kind>', 'what is minimised', LOSSES))
    .option('--class-weights <list>', 'balanced, none, or a number for each class', parseClassWeights)
    .option('--border-weight <w0>', "the paper's weight map: weight of borders; 0 for none", notNegative)
    .option('--border-sigma <px>', 'how far it reaches (default: 5)', positive)
    .option('--border-live', 'compute it on each crop, after its deformation')
    .optionsGroup('The optimiser:')
    .addOption(choice('--optimizer <kind>', 'how weights change', OPTIMIZERS))
    .option('--momentum <x>', 'of SGD', fraction)
    .option('--weight-decay <x>', 'of AdamW', notNegative)
    .option('--clip <norm>', 'cut gradients to this length; 0 for never', notNegative)
    .option('--learning-rate <x>', 'the rate, or its peak', positive)
    .addOption(choice('--schedule <kind>', 'how the rate runs', SCHEDULES))
    .option('--step-epochs <n>', 'of the schedule "step": epochs between its steps', integer(1, 1_000_000))
    .option('--step-factor <x>', 'of the schedule "step": what the rate is multiplied by', positive)
    .optionsGroup('How long:')
    .option('--epochs <n>', 'at most', integer(1, 1_000_000))
    .option(
      '--epoch-steps <n>',
      'steps in an epoch; 0 for as many as see each image once',
      integer(0, 10_000_000),
    )
    .option(
      '--patience <n>',
      'stop after so many epochs without a better one; 0 for never',
      integer(0, 1_000_000),
    )
    .addOption(
      choice(
        '--monitor <score>',
        'what the best network is chosen by (default: meanDice where a class is rare, else pixelError)',
        MONITORS,
      ),
    );
}

/** How stored labels are read: for training and for scores. */
export function labelOptions(command: Command): Command {
  return command
    .option(
      '--instances',
      'labels number the cells, as StarDist and Cellpose have them: 0 is background, each other value a cell',
    )
    .option('--legend <list>', 'of labels in colour: #000000=background,#ff0000=cell,#ffffff=ignore')
    .addOption(
      new Option('--ignore [value]', 'label value of pixels that do not count')
        .preset('255')
        .argParser(integer(0, 65535)),
    );
}

/** A preset with what was given in its place. */
export function settingsOf(flags: SettingFlags): TrainingSettings {
  const preset: TrainingSettings = PRESETS[flags.preset];
  const { optimizer, schedule, unet } = preset;
  const border = flags.borderWeight === 0 ? null : preset.border;
  const wanted = border !== null || (flags.borderWeight ?? 0) > 0;
  if (!wanted && (flags.borderSigma !== undefined || flags.borderLive)) {
    throw new RequestError('bad-request', '--border-sigma and --border-live need --border-weight');
  }
  return {
    unet: {
      ...unet,
      ...channelsOf(flags, unet.channels),
      ...given({
        head: flags.head,
        padding: flags.padding,
        upConvolution: flags.upConvolution,
        batchNorm: flags.batchNorm,
        dropout: flags.dropout,
        outputSize: flags.outputSize,
      }),
      ...(flags.inputChannels && { inputChannels: Number(flags.inputChannels) as 1 | 3 }),
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
    border: wanted
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
      ...given({ kind: flags.optimizer, momentum: flags.momentum, weightDecay: flags.weightDecay }),
      ...(flags.clip !== undefined && { clipNorm: flags.clip === 0 ? null : flags.clip }),
    },
    schedule: {
      ...schedule,
      ...given({
        kind: flags.schedule,
        learningRate: flags.learningRate,
        stepEpochs: flags.stepEpochs,
        stepFactor: flags.stepFactor,
      }),
    },
  };
}

/** Channels as a list, or as a depth and the first level's, doubled from level to level. */
function channelsOf(flags: SettingFlags, preset: readonly number[]): Partial<TrainingSettings['unet']> {
  const { channels, decoderChannels, depth, features } = flags;
  if (depth === undefined && features === undefined) return given({ channels, decoderChannels });
  if (channels) throw new RequestError('bad-request', '--depth and --features stand instead of --channels');
  const levels = (depth ?? preset.length - 1) + 1;
  const first = features ?? preset[0]!;
  return {
    channels: Array.from({ length: levels }, (_, i) => first * 2 ** i),
    ...given({ decoderChannels }),
  };
}

/** Without what is undefined. */
function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, v]) => v !== undefined)) as never;
}
