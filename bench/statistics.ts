import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { type PixelArray, pixelArray, type Raster } from '../tiling/raster.js';
import { hash } from '../tiling/samples/random.js';
import { memorySource } from '../tiling/sources/memory.js';
import { ImageStatistics, type MeasuredGroup } from '../tiling/statistics/statistics.js';
import type { Bench } from './bench.js';

const IMAGES = 100;
const PERCENTILES = [
  [0, 100],
  [1, 99.8],
  [0.1, 99.9],
  [25, 75],
  [33.3, 66.7],
] as const;
/** Numbers that differ from NumPy's in any bit; and the largest difference of means and deviations, relative. */
const LIMITS = { percentilesDifferent: 0, momentsDifference: 1e-12 };
const SPEED_PX = 4096;

const SCRIPT = fileURLToPath(new URL('../../bench/statistics/percentiles.py', import.meta.url));
const IDENTITY = { shift: 0, factor: 1, low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };
const answer = z.object({
  each: z.array(z.array(z.number())),
  all: z.array(z.number()),
  moments: z.array(z.tuple([z.number(), z.number()])),
});

export const options = { python: { type: 'string', default: 'python3' } } as const;

/**
 * Compares statistics of images of 8 and 16 bits and of floats with those of NumPy, which `--python` has, and measures how
 * fast they are counted. Percentiles agree in every bit.
 */
export const bench: Bench = async (log, { python }) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  try {
    const images = Array.from({ length: IMAGES }, (_, i) => imageOf(i));
    const requests: string[] = [];
    for (const [i, { data, channels }] of images.entries()) {
      const path = join(dir, `${i}.raw`);
      await writeFile(path, new Uint8Array(data.buffer));
      const dtype = data.constructor.name.replace('Array', '').toLowerCase();
      requests.push(
        JSON.stringify({ path, channels, dtype, percentiles: PERCENTILES[i % PERCENTILES.length] }),
      );
    }
    const answers = await ask(String(python), requests);
    let [compared, percentilesDifferent, momentsDifference] = [0, 0, 0];
    for (const [i, image] of images.entries()) {
      const { facts, ...reader } = memorySource(image);
      const measured = new ImageStatistics({ reader, facts });
      const percentiles = PERCENTILES[i % PERCENTILES.length]!;
      const each = groupsOf(image.channels);
      const all = [{ channels: each.map((_, c) => c), map: IDENTITY }];
      const expected = answers[i]!;
      const found = [
        ...(await measured.measure({ percentiles }, each)),
        ...(await measured.measure({ percentiles }, all)),
      ];
      for (const [k, pair] of [...expected.each, expected.all].entries()) {
        for (const [j, value] of pair.entries()) {
          compared++;
          if (!Object.is(found[k]![j]! + 0, value + 0)) percentilesDifferent++;
        }
      }
      for (const [c, own] of (await measured.measure('moments', each)).entries()) {
        const scale = Math.abs(expected.moments[c]![0]) + expected.moments[c]![1];
        for (const k of [0, 1] as const) {
          const difference = Math.abs(own[k] - expected.moments[c]![k]) / scale;
          momentsDifference = Math.max(momentsDifference, difference);
        }
      }
      if (i % 25 === 24) log(`${i + 1} images`);
    }
    const mpxPerSecond = {
      uint8: await speedOf('uint8'),
      uint16: await speedOf('uint16'),
      float32: await speedOf('float32'),
    };
    const holds =
      percentilesDifferent <= LIMITS.percentilesDifferent && momentsDifference <= LIMITS.momentsDifference;
    return {
      images: IMAGES,
      compared,
      percentilesDifferent,
      momentsDifference,
      mpxPerSecond,
      limits: LIMITS,
      holds,
    };
  } finally {
    await rm(dir, { recursive: true });
  }
};

const groupsOf = (channels: number): MeasuredGroup[] =>
  Array.from({ length: channels }, (_, c) => ({ channels: [c], map: IDENTITY }));

/** An image of a size, a type and a distribution that its number decides. */
function imageOf(seed: number): Raster {
  const dtype = (['uint8', 'uint16', 'float32'] as const)[seed % 3]!;
  const channels = [1, 2, 3, 5][seed % 4]!;
  const [width, height] = [40 + (hash(seed, 1, 0) % 500), 30 + (hash(seed, 2, 0) % 400)];
  const data = pixelArray(dtype, width * height * channels);
  for (let i = 0; i < data.length; i++) data[i] = sampleOf(data, i, seed);
  return { data, width, height, channels };
}

/** Few values or many, dense or of all magnitudes, of both signs where they are floats. */
function sampleOf(data: PixelArray, i: number, seed: number): number {
  const bits = hash(i, seed, 7);
  const share = bits / 2 ** 32;
  if (!(data instanceof Float32Array)) {
    const top = data instanceof Uint8Array ? 255 : 65535;
    return Math.floor(top * share ** (1 + (seed % 5)));
  }
  switch (seed % 4) {
    case 0:
      return share;
    case 1:
      return (share - 0.5) * 2 ** ((bits & 63) - 32);
    case 2:
      return Math.round(share * 20) / 10;
    default:
      return 1000 + share ** 4;
  }
}

async function speedOf(dtype: 'uint8' | 'uint16' | 'float32'): Promise<number> {
  const data = pixelArray(dtype, SPEED_PX * SPEED_PX);
  for (let i = 0; i < data.length; i++) data[i] = hash(i, 0, 0) >>> 16;
  const { facts, ...reader } = memorySource({ data, width: SPEED_PX, height: SPEED_PX, channels: 1 });
  const started = performance.now();
  await new ImageStatistics({ reader, facts }).measure({ percentiles: [1, 99.8] }, groupsOf(1));
  return Math.round(SPEED_PX ** 2 / (performance.now() - started) / 1000);
}

/** Has NumPy compute the same. */
function ask(python: string, requests: readonly string[]): Promise<z.infer<typeof answer>[]> {
  return new Promise((resolve, reject) => {
    const child = execFile(python, [SCRIPT], { maxBuffer: 1 << 26 }, (error, stdout) => {
      if (error) return reject(error);
      resolve(
        stdout
          .trim()
          .split('\n')
          .map((line) => answer.parse(JSON.parse(line))),
      );
    });
    child.stdin!.end(`${requests.join('\n')}\n`);
  });
}
