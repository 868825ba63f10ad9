import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Engine } from '../model/engine/engine.js';
import type { UnetConfig } from '../model/network/unet.js';
import { writeUntrained } from '../test/support/untrained.js';
import { chooseTile, planTiles, type TilePlan, type TileRule } from '../tiling/plan.js';
import type { Bench } from './bench.js';
import { copyOwned, countDifferences, noiseImage, runTiles } from './exactness-tiles.js';
import { compareUses } from './exactness-uses.js';

const MODELS = ['shapes/1', 'em-membrane/1', 'em-membrane/1-int8'];
const SIZES = [
  [1, 1],
  [3, 5000],
  [1013, 1041],
  [2048, 2048],
] as const;
/** Untrained networks, one for each architectural option that training offers. */
const VARIANTS: Record<string, Partial<UnetConfig>> = {
  'one same-padded convolution per level': { channels: [16, 32, 64], convolutions: 1, padding: 'same' },
  'same padding': { padding: 'same' },
  'nearest-neighbour up-sampling': { upConvolution: 'nearest' },
  'nearest-neighbour up-sampling, same padding': { upConvolution: 'nearest', padding: 'same' },
  'batch normalisation': { batchNorm: true },
  'blocks of channels': { channels: [16, 32, 64], classes: 3 },
  'blocks of channels, batch normalisation': { channels: [16, 32, 64], batchNorm: true },
  'blocks of channels, same padding': { channels: [16, 32, 64], padding: 'same' },
  'separate decoder widths, one sigmoid': { decoderChannels: [24, 12], head: 'sigmoid' },
};
const VARIANT_SIZES = [
  [1, 1],
  [1013, 1041],
] as const;
const BATCHES = [1, 4];
const THREADS = [2, 1];
/**
 * The most px to compute for one plan. Small tiles compute each pixel hundreds of times; of plans that exceed
 * this, an evenly spaced sample of tiles is compared.
 */
const COMPUTED_PX = 16e6;

/** Tile sizes in px: the smallest that the model accepts, a non-square one, and three larger squares. */
const tilesFor = ({ smallest, multiple }: TileRule) =>
  [
    [0, 0],
    [11, 11],
    [23, 59],
    [59, 59],
    [91, 91],
  ].map(([w, h]) => ({ width: smallest + w! * multiple, height: smallest + h! * multiple }));

/**
 * Compares the probabilities of tiled inference, bit for bit, with those of one pass over the whole mirror-padded
 * image: for served and untrained networks, over image sizes, tile sizes, batch sizes and numbers of threads. Not a
 * single value may differ; nor in other uses of networks, in several lanes (`exactness-uses.ts`). As a control, tiles at
 * a stride that the poolings do not divide must differ.
 */
export const bench: Bench = async (log) => {
  let values = 0;
  let differing = 0;
  let tilesCompared = 0;
  let tilesPlanned = 0;
  const unaligned = { values: 0, differing: 0 };
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  const nets = [
    ...MODELS.map((name) => ({
      name,
      folder: fileURLToPath(new URL(`../../models/${name}`, import.meta.url)),
      sizes: SIZES,
    })),
    ...(await untrained(dir)),
  ];
  for (const { name, folder, sizes } of nets) {
    const references = new Map<string, Float32Array>();
    for (const threads of THREADS) {
      const engine = Engine.start({ provider: 'cpu', threads });
      const model = await engine.load(folder);
      const rule = model.geometry;
      for (const [width, height] of sizes) {
        const image = noiseImage(width, height);
        const key = `${width}x${height}`;
        if (!references.has(key)) {
          const plan = planTiles(image, { tile: chooseTile(image, 'whole', rule), rule });
          const whole = new Float32Array(width * height * model.card.classes.length);
          await runTiles(engine, model, image, plan, 1, Number.POSITIVE_INFINITY, (tile, out, outWidth) =>
            copyOwned(tile, out, outWidth, whole, width, model.card.classes.length),
          );
          references.set(key, whole);
        }
        const compare = async (plan: TilePlan, batch: number, tally: { values: number; differing: number }) =>
          runTiles(engine, model, image, plan, batch, COMPUTED_PX, (tile, out, outWidth) => {
            const classes = model.card.classes.length;
            tally.differing += countDifferences(tile, out, outWidth, references.get(key)!, width, classes);
            tally.values += tile.write.width * tile.write.height * classes;
          });
        for (const tile of tilesFor(rule)) {
          for (const batch of BATCHES) {
            const plan = planTiles(image, { tile, rule });
            const tally = { values: 0, differing: 0 };
            tilesCompared += await compare(plan, batch, tally);
            tilesPlanned += plan.count;
            values += tally.values;
            differing += tally.differing;
          }
        }
        // The control: strides that are not multiples of the poolings' put them out of phase.
        if (sizes === SIZES && width > 1000 && threads === THREADS[0]) {
          const tile = tilesFor(rule)[3]!;
          const plan = planTiles(image, { tile, rule: { ...rule, multiple: 1, smallest: tile.width } });
          await compare(plan, 1, unaligned);
        }
        log(`${name}, ${threads} threads, ${key}: ${differing} of ${values} values differ so far`);
      }
      await engine.close();
    }
  }
  const uses = await compareUses(dir, log);
  await rm(dir, { recursive: true, force: true });
  const holds =
    differing === 0 && values > 0 && uses.differing === 0 && uses.values > 0 && unaligned.differing > 0;
  return { values, differing, uses, unaligned, tilesCompared, tilesPlanned, limits: { differing: 0 }, holds };
};

/** Writes each variant as a model folder. */
async function untrained(dir: string) {
  const engine = Engine.start({ provider: 'cpu', threads: 2 });
  const nets = [];
  for (const [name, variant] of Object.entries(VARIANTS)) {
    const folder = join(dir, String(nets.length));
    const config: UnetConfig = { channels: [8, 16, 32], inputChannels: 1, classes: 2, seed: 1, ...variant };
    await writeUntrained(engine, folder, config);
    nets.push({ name, folder, sizes: VARIANT_SIZES });
  }
  await engine.close();
  return nets;
}
