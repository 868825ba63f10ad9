import { mkdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Random } from './measure/random.js';
import { unseam } from './product.js';

/** A size of images, and which share of all images has it. */
interface Size {
  readonly width: number;
  readonly height: number;
  readonly share: number;
}

/** What microscopists send: crops, camera fields (696 × 520 and 1392 × 1040 are binned and whole CCDs), an sCMOS field. */
const SIZES: readonly Size[] = [
  { width: 256, height: 256, share: 0.34 },
  { width: 512, height: 512, share: 0.3 },
  { width: 696, height: 520, share: 0.16 },
  { width: 1024, height: 1024, share: 0.12 },
  { width: 1392, height: 1040, share: 0.06 },
  { width: 2048, height: 2048, share: 0.02 },
];
const SLIDE = { width: 4096, height: 3072 };
/** Kinds of synthetic microscopy, all of them textured: no tile is of one value, and no two are equal. */
const KINDS = ['shapes', 'membranes'] as const;

/** An image with the mask that every response must equal byte for byte. */
export interface Sample {
  /** Such as `696×520 shapes`. */
  readonly name: string;
  /** Such as `696×520`. */
  readonly size: string;
  readonly pixels: number;
  /** Share of all images that is this one. */
  readonly share: number;
  readonly image: Buffer;
  readonly mask: Buffer;
}

export interface Samples {
  readonly images: readonly Sample[];
  readonly slides: readonly Sample[];
}

/**
 * Makes images and slides by `unseam samples`, always the same for a seed, and their masks by
 * `unseam segment --tile whole`: in one pass over the whole image.
 * @param dir an empty folder
 */
export async function makeSamples(dir: string, model: string, seed: number): Promise<Samples> {
  const images: Omit<Sample, 'mask'>[] = [];
  const slides: Omit<Sample, 'mask'>[] = [];
  const inputs = join(dir, 'inputs');
  const masks = join(dir, 'masks');
  await mkdir(inputs, { recursive: true });
  for (const kind of KINDS) {
    for (const { width, height, share } of SIZES) {
      const size = `${width}×${height}`;
      const image = await makeImage(inputs, kind, { width, height, seed, format: 'png' });
      images.push({
        name: `${size} ${kind}`,
        size,
        pixels: width * height,
        share: share / KINDS.length,
        image,
      });
    }
    const { width, height } = SLIDE;
    const image = await makeImage(inputs, kind, { ...SLIDE, seed, format: 'tiff' });
    slides.push({
      name: `slide ${kind}`,
      size: `${width}×${height}`,
      pixels: width * height,
      share: 0,
      image,
    });
  }
  await unseam('segment', inputs, '-o', masks, '--model', model, '--tile', 'whole', '--scratch', dir);
  const withMask = async (sample: Omit<Sample, 'mask'>): Promise<Sample> => {
    const kind = sample.name.split(' ')[1]!;
    return { ...sample, mask: await readFile(join(masks, `${fileName(kind, sample.size)}.png`)) };
  };
  return {
    images: await Promise.all(images.map(withMask)),
    slides: await Promise.all(slides.map(withMask)),
  };
}

/** Draws an image of the mix. */
export function drawImage(random: Random, images: readonly Sample[]): Sample {
  let rest = random.next() * images.reduce((sum, { share }) => sum + share, 0);
  for (const image of images) if ((rest -= image.share) < 0) return image;
  return images.at(-1)!;
}

/** About `count` images in a random order, each as often as its share demands and at least once: no luck in the draw. */
export function mixOf(random: Random, images: readonly Sample[], count: number): Sample[] {
  const times = (image: Sample) => Math.max(1, Math.round(image.share * count));
  return random.shuffle(images.flatMap((image) => Array.from({ length: times(image) }, () => image)));
}

const fileName = (kind: string, size: string): string => `${kind}-${size.replace('×', 'x')}`;

async function makeImage(
  inputs: string,
  kind: string,
  { width, height, seed, format }: { width: number; height: number; seed: number; format: 'png' | 'tiff' },
): Promise<Buffer> {
  const size = `${width}x${height}`;
  const out = join(inputs, '..', `made-${kind}-${size}`);
  await unseam('samples', '-o', out, '-k', kind, '-s', size, '--seed', String(seed), '-f', format);
  const ending = format === 'png' ? 'png' : 'tif';
  const path = join(inputs, `${kind}-${size}.${ending}`);
  await rename(join(out, 'images', `${kind}-${String(seed).padStart(4, '0')}.${ending}`), path);
  return readFile(path);
}
