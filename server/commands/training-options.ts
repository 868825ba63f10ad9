import { type Command, Option } from 'commander';
import { MAX_INPUT_CHANNELS } from '../../model/network/normalisation.js';
import { AUGMENTATIONS } from '../../model/train/augment.js';
import { LOSSES, OPTIMIZERS } from '../../model/train/choices.js';
import { SCHEDULES } from '../../model/train/schedule.js';
import { integer, positive } from '../terminal/flag-values.js';
import { MONITORS } from '../training/monitor.js';
import { PRESETS } from '../training/presets.js';
import {
  fraction,
  notNegative,
  parseAugmentation,
  parseClassWeights,
  parseFeatures,
  parseNumbers,
} from './training-values.js';

/** Adds the options of a training's settings; `settingsOf` reads them. */
export function settingOptions(command: Command): Command {
  const choice = (flags: string, text: string, values: readonly string[]) =>
    new Option(flags, text).choices([...values]);
  return command
    .addOption(
      choice(
        '--preset <name>',
        'settings to start from; the options below override them',
        Object.keys(PRESETS),
      ).default('quick'),
    )
    .optionsGroup('Network:')
    .option(
      '--channels <list>',
      'feature channels of each encoder level, from the image down, such as 16,32,64,128',
      parseFeatures,
    )
    .option(
      '--decoder-channels <list>',
      "feature channels of each decoder level, from the bottom up (default: the encoder's, reversed)",
      parseNumbers,
    )
    .option('--depth <n>', 'number of poolings; with --features, replaces --channels', integer(1, 10))
    .option(
      '--features <n>',
      'feature channels of the first level, doubled at each pooling',
      integer(1, 4096),
    )
    .option(
      '--input-channels <n>',
      'channels of the input: 1 gray, 3 RGB, or as many as the images have (default: those of --image-channels)',
      integer(1, MAX_INPUT_CHANNELS),
    )
    .addOption(
      choice(
        '--head <kind>',
        'softmax: one logit per class; sigmoid: one logit, for the second of two classes',
        ['softmax', 'sigmoid'],
      ),
    )
    .addOption(choice('--convolutions <n>', '3×3 convolutions per level', ['1', '2']))
    .addOption(choice('--padding <kind>', 'padding of the convolutions', ['valid', 'same']))
    .addOption(
      choice(
        '--up-convolution <kind>',
        'transposed: 2×2 with stride 2; nearest: doubled pixels, then a 2×2 convolution',
        ['transposed', 'nearest'],
      ),
    )
    .option('--batch-norm', 'batch normalisation before each ReLU')
    .option(
      '--dropout <share>',
      'share of features dropped at the end of the contracting path, such as 0.5',
      fraction,
    )
    .option(
      '--output-size <px>',
      'resize the logits to this side; such a model does not tile exactly',
      integer(1, 8192),
    )
    .optionsGroup('Crops:')
    .option('--tile <px>', 'side of the crops, which are the input of the network', integer(1, 8192))
    .option('--batch <n>', 'crops per batch', integer(1, 256))
    .option('--accumulate <n>', 'batches whose gradients are averaged into one step', integer(1, 1024))
    .option(
      '--augment <list>',
      `${Object.keys(AUGMENTATIONS).join(', ')}, or a list such as flip,rotate:15,elastic:10; see docs/training.md`,
      parseAugmentation,
    )
    .addOption(
      choice('--label-border <kind>', 'how labels are continued outside their image', ['reflect', 'edge']),
    )
    .optionsGroup('Loss:')
    .addOption(choice('--loss <kind>', 'loss function', LOSSES))
    .option(
      '--class-weights <list>',
      'balanced, none, or one weight per class, such as 1,5',
      parseClassWeights,
    )
    .option(
      '--border-weight <w0>',
      'weight of borders between touching cells, 10 in the U-Net paper; 0 for none',
      notNegative,
    )
    .option('--border-sigma <px>', 'distance over which the border weight falls off (default: 5)', positive)
    .option('--border-live', 'compute border weights on each crop, after its augmentation')
    .optionsGroup('Optimiser:')
    .addOption(choice('--optimizer <kind>', 'optimiser', OPTIMIZERS))
    .option('--momentum <x>', 'momentum of SGD', fraction)
    .option('--weight-decay <x>', 'weight decay of AdamW', notNegative)
    .option('--clip <norm>', 'clip the norm of the gradient; 0 for no clipping', notNegative)
    .option('--learning-rate <x>', 'learning rate, or the peak of its schedule', positive)
    .addOption(choice('--schedule <kind>', 'schedule of the learning rate', SCHEDULES))
    .option('--step-epochs <n>', 'schedule "step": epochs between its steps', integer(1, 1_000_000))
    .option('--step-factor <x>', 'schedule "step": factor of the learning rate at each step', positive)
    .optionsGroup('Duration:')
    .option('--epochs <n>', 'maximum number of epochs', integer(1, 1_000_000))
    .option(
      '--epoch-steps <n>',
      'optimiser steps per epoch; 0 for one pass over the images',
      integer(0, 10_000_000),
    )
    .option(
      '--patience <n>',
      'stop early after this many epochs without a better network; 0 for never',
      integer(0, 1_000_000),
    )
    .addOption(
      choice(
        '--monitor <score>',
        'score that selects the best network (default: meanDice if a class is rare, else pixelError)',
        MONITORS,
      ),
    );
}

/** Adds the options that say how stored labels are read, for training and for evaluation. */
export function labelOptions(command: Command): Command {
  return command
    .option(
      '--instances',
      'each cell has its own number in the labels, as in StarDist and Cellpose; 0 is background',
    )
    .option(
      '--legend <list>',
      'classes of labels in colour, such as #000000=background,#ff0000=cell,#ffffff=ignore',
    )
    .addOption(
      new Option('--ignore [value]', 'label value of pixels that do not count')
        .preset('255')
        .argParser(integer(0, 65535)),
    );
}
