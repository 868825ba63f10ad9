import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Command, Option } from 'commander';
import type { Size } from '../../tiling/geometry.js';
import { SAMPLE_KINDS, type SampleKind, writeSample } from '../../tiling/samples/sample.js';
import type { MaskSink } from '../../tiling/sink.js';
import type { Reduction } from '../../tiling/sinks/halve.js';
import { PngSink } from '../../tiling/sinks/png.js';
import { TiffSink } from '../../tiling/sinks/tiff/tiff.js';
import { RequestError } from '../contract/errors.js';
import type { Format } from '../contract/outputs.js';
import { integer } from '../terminal/flag-values.js';
import type { CommandContext } from '../terminal/options.js';

interface SampleFlags {
  readonly out: string;
  readonly kind: SampleKind;
  readonly size: Size;
  readonly count: number;
  readonly seed: number;
  readonly format: Format;
}

/** `unseam samples`: writes synthetic images with their labels. */
export function samplesCommand(program: Command, context: CommandContext): void {
  program
    .command('samples')
    .description('make synthetic microscopy images with labels')
    .requiredOption('-o, --out <folder>', 'folder; the files go to images/ and labels/ in it')
    .addOption(
      new Option('-k, --kind <kind>', 'what the images show')
        .choices(Object.keys(SAMPLE_KINDS))
        .default('shapes'),
    )
    .addOption(
      new Option('-s, --size <size>', 'side in px, or WIDTHxHEIGHT')
        .argParser(parseSize)
        .default({ width: 512, height: 512 }, '512'),
    )
    .option('-n, --count <n>', 'number of images', integer(1, 100_000), 1)
    .option(
      '--seed <n>',
      'seed of the first image; each further one has the next seed',
      integer(0, 2 ** 31),
      1,
    )
    .addOption(
      new Option('-f, --format <format>', 'file format; tiff is tiled')
        .choices(['png', 'tiff'])
        .default('png'),
    )
    .action(async ({ out, kind, size, count, seed, format }: SampleFlags) => {
      const ending = format === 'png' ? 'png' : 'tif';
      for (let i = 0; i < count; i++) {
        context.signal.throwIfAborted();
        const name = `${kind}-${String(seed + i).padStart(4, '0')}.${ending}`;
        const open = (folder: string, overviews: Reduction) =>
          openSample(join(out, folder, name), size, format, overviews);
        const sinks = { image: await open('images', 'mean'), labels: await open('labels', 'majority') };
        try {
          await writeSample(kind, size, seed + i, sinks, context.signal);
        } catch (error) {
          await Promise.all([sinks.image.abort(), sinks.labels.abort()]);
          throw error;
        }
      }
      context.stderr(
        `${count} × ${size.width}×${size.height} px of ${kind} in ${out}/images, labels in ${out}/labels`,
      );
    });
}

async function openSample(path: string, size: Size, format: Format, overviews: Reduction): Promise<MaskSink> {
  await mkdir(dirname(path), { recursive: true });
  return format === 'png'
    ? PngSink.create(path, size, { channels: 1, mpp: null, isLabels: overviews === 'majority' })
    : TiffSink.create(path, size, { channels: 1, dtype: 'uint8', mpp: null, overviews });
}

function parseSize(text: string): Size {
  const match = /^(\d{1,7})(?:[x×](\d{1,7}))?$/.exec(text);
  const size = { width: Number(match?.[1]), height: Number(match?.[2] ?? match?.[1]) };
  if (!(size.width >= 1 && size.height >= 1)) {
    throw new RequestError('bad-request', `invalid size "${text}": expected a side in px or WIDTHxHEIGHT`);
  }
  return size;
}
