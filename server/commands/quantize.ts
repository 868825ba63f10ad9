import type { Command } from 'commander';
import { nameOfDevices, OWN_CPU } from '../../model/devices/device.js';
import type { Card } from '../../model/shelf/card.js';
import { ModelShelf } from '../../model/shelf/shelf.js';
import { RequestError } from '../contract/errors.js';
import { openEngineOf } from '../terminal/engine.js';
import {
  type CommandContext,
  type EngineFlags,
  engineOptions,
  type ImageFlags,
  imageOptions,
  type ScratchFlags,
  scratchOption,
} from '../terminal/options.js';
import { withScratch } from '../terminal/scratch.js';
import { findImages } from '../training/data/dataset-files.js';
import { type Quantised, quantise } from '../training/quantise.js';
import { type LabelledFlags, openLabelled } from './labelled.js';
import { labelOptions } from './training-options.js';

interface QuantizeFlags extends EngineFlags, ImageFlags, ScratchFlags, Omit<LabelledFlags, 'labels'> {
  readonly labels?: string;
  readonly json?: boolean;
}

const STEPS = {
  calibration: 'finding the ranges of the feature maps',
  comparison: 'comparing labels with those of the original',
  scores: 'scoring',
} as const;

/** `unseam models quantize`: makes the version of a model that computes with 8-bit integers. */
export function quantizeCommand(models: Command, context: CommandContext): void {
  const command = imageOptions(engineOptions(models.command('quantize')))
    .addOption(scratchOption())
    .description('make a version of a model that computes with 8-bit integers, for use where it is named')
    .argument('<name>', 'model, NAME or NAME/VERSION')
    .requiredOption(
      '--images <path>',
      'folder of images, or a multi-page file, such as the model is used for',
    )
    .option('--labels <path>', 'their labels, paired by name or page, to score both versions');
  labelOptions(command)
    .option('--json', 'print the card as JSON')
    .action((name: string, _flags: unknown, self: Command) =>
      quantize(name, self.optsWithGlobals<QuantizeFlags>(), context),
    );
}

async function quantize(name: string, flags: QuantizeFlags, context: CommandContext): Promise<void> {
  if (flags.engine !== 'onnx') {
    throw new RequestError('bad-request', `--engine ${flags.engine}: quantised versions are made for onnx`);
  }
  const shelf = new ModelShelf(flags.models);
  const model = await shelf.find(name);
  const { images: path, labels, maxPixels, maxUnpacked: maxUnpackedBytes } = flags;
  const images = await findImages(path);
  const engine = await openEngineOf(onCpu(flags), context.stderr);
  try {
    await withScratch(flags.scratch, async (scratchDir) => {
      const open = { scratchDir, maxPixels, maxUnpackedBytes, signal: context.signal };
      const dataset =
        labels === undefined ? null : await openLabelled({ ...flags, labels }, model.card, open);
      try {
        const quantised = await quantise({
          engine,
          model,
          target: shelf.quantisedOf(model),
          images,
          dataset,
          open,
          onStep: (step) => context.stderr(`${STEPS[step]} …`),
        });
        if (flags.json) context.stdout(JSON.stringify(quantised.card));
        else for (const line of summaryOf(quantised)) context.stdout(line);
      } finally {
        await dataset?.close();
      }
    });
  } finally {
    await engine.close();
  }
}

function summaryOf({ card, exact }: Quantised): string[] {
  const { name, version, scores } = card;
  const { calibration, agreement, original } = card.quantisation!;
  const same = `${(100 * agreement.share).toFixed(2)} % of the pixels of ${count(agreement.images)}`;
  return [
    `${name}/${version}: ranges of ${calibration.tiles} tiles of ${count(calibration.images)}; ` +
      `${exact ? 'exact under tiling' : 'NOT exact under tiling on this device: one tile size is used'}`,
    `the label of the original for ${same}`,
    ...Object.entries(scores).flatMap(([set, own]) => scoreTable(set, own, original[set]!)),
  ];
}

const count = (images: readonly string[]): string =>
  images.length === 1 ? `image ${images[0]}` : `${images.length} images`;

type Scores = Card['scores'][string];

function scoreTable(set: string, own: Scores, original: Scores): string[] {
  const rows = Object.entries(own).map(([name, value]) => [
    name,
    original[name]!.toFixed(4),
    value.toFixed(4),
  ]);
  return [[set, 'original', 'int8'], ...rows].map(
    ([name, before, after]) => `${name!.padEnd(24)}${before!.padStart(10)}${after!.padStart(10)}`,
  );
}

/**
 * The flags for the CPU, which computes with bytes.
 * @throws RequestError for a GPU
 */
function onCpu(flags: QuantizeFlags): QuantizeFlags {
  const { device = 'auto', precision } = flags;
  if (device !== 'auto' && device.provider !== 'cpu') {
    throw new RequestError('bad-request', `--device ${nameOfDevices(device)}: 8-bit integers are for CPUs`);
  }
  if (precision !== 'fp32')
    throw new RequestError('bad-request', '--precision: networks are quantised in fp32');
  return { ...flags, device: device === 'auto' ? OWN_CPU : device };
}
