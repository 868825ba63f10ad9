import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Engine, type EngineModel } from '../model/engine/engine.js';
import type { OutputKind } from '../model/network/output-kind.js';
import { segment } from '../server/pipeline/segment.js';
import { chooseTile, planTiles, type TileChoice } from '../tiling/plan.js';
import type { Raster } from '../tiling/raster.js';
import { paintMembranes } from '../tiling/samples/membranes.js';
import type { MaskArray } from '../tiling/sink.js';
import { MemorySink } from '../tiling/sinks/memory.js';
import { memorySource } from '../tiling/sources/memory.js';
import { type Bench, medians } from './bench.js';

const [ORIGINAL, QUANTISED] = ['em-membrane/1', 'em-membrane/1-int8'];
const TILES = [412, 572, 732];
const RUNS = 9;
const IMAGE = { width: 1501, height: 1103 };
const COMPARED: readonly TileChoice[] = [
  { width: 100, height: 100 },
  { width: 188, height: 308 },
  { width: 572, height: 412 },
];
const LIMITS = { speedUp: 1.5, pixelErrorIncrease: 0.004, differing: 0 };

/**
 * Compares the quantised version of a model with the original: time of a tile on one thread, and of a tile in each lane
 * at the same time, in turns; pixel error on the test images, as their cards have it; and labels on a synthetic section.
 * Tiles of the quantised version must equal one pass over that section, bit for bit.
 */
export const bench: Bench = async (log) => {
  const threads = availableParallelism();
  const engine = Engine.start({ provider: 'cpu', threads });
  try {
    const [original, quantised] = [await load(engine, ORIGINAL), await load(engine, QUANTISED)];
    const image = section();
    const speedUps: Record<string, number> = {};
    for (const side of TILES) {
      for (const lanes of new Set([1, threads])) {
        const run = (model: EngineModel) => () =>
          Promise.all(
            Array.from({ length: lanes }, (_, lane) =>
              engine.predict(model.id, tileOf(image, side), 'labels', { lane, threads: 1 }),
            ),
          );
        const ms = await medians(RUNS, { original: run(original), quantised: run(quantised) });
        speedUps[`${side} px, ${lanes} ${lanes === 1 ? 'lane' : 'lanes'}`] = round(
          ms.original / ms.quantised,
        );
        log(`${side} px, ${lanes} lanes: ${ms.original.toFixed(1)} ms, int8 ${ms.quantised.toFixed(1)} ms`);
      }
    }
    const whole = await probabilitiesOf(engine, quantised, image, 'whole');
    let differing = 0;
    for (const tile of COMPARED) {
      differing += differences(await probabilitiesOf(engine, quantised, image, tile), whole);
    }
    log(`${differing} values of tiles differ from one pass`);
    const labels = [];
    for (const model of [original, quantised])
      labels.push(await maskOf(engine, model, image, 'labels', 'auto'));
    const differingLabels = differences(labels[0]!, labels[1]!) / labels[0]!.length;
    const { scores, quantisation } = quantised.card;
    const pixelErrors = [quantisation!.original, scores].map(({ test }) => test!.pixelError!);
    const pixelErrorIncrease = round(pixelErrors[1]! - pixelErrors[0]!);
    const holds =
      Math.min(...Object.values(speedUps)) >= LIMITS.speedUp &&
      pixelErrorIncrease <= LIMITS.pixelErrorIncrease &&
      differing === LIMITS.differing;
    return {
      speedUps,
      values: COMPARED.length * whole.length,
      differing,
      differingLabels: round(differingLabels),
      pixelErrors,
      pixelErrorIncrease,
      limits: LIMITS,
      holds,
    };
  } finally {
    await engine.close();
  }
};

const load = (engine: Engine, name: string): Promise<EngineModel> =>
  engine.load(fileURLToPath(new URL(`../../models/${name}`, import.meta.url)));

/** A synthetic electron micrograph. */
function section(): Raster {
  const { width, height } = IMAGE;
  const data = new Uint8Array(width * height);
  paintMembranes({ x: 0, y: 0, width, height }, 1, data, new Uint8Array(width * height));
  return { data, width, height, channels: 1 };
}

/** The upper left corner of an image. */
function tileOf({ data, width }: Raster, side: number) {
  const tile = new Uint8Array(side * side);
  for (let y = 0; y < side; y++) tile.set(data.subarray(y * width, y * width + side), y * side);
  return { data: tile, count: 1, height: side, width: side, channels: 1 };
}

/** A model's mask of an image, by the pipeline that serves. */
async function maskOf(
  engine: Engine,
  { id, card, geometry }: EngineModel,
  image: Raster,
  output: OutputKind,
  choice: TileChoice,
): Promise<MaskArray> {
  const classes = card.classes.length;
  const sink = new MemorySink(image, output === 'labels' ? 1 : classes);
  await segment({
    source: memorySource(image),
    plan: planTiles(image, { tile: chooseTile(image, choice, geometry), rule: geometry }),
    output,
    classes,
    sink,
    predict: async (tile, kind) => {
      return { result: await engine.predict(id, tile, kind), queuedMs: 0, ranMs: 0, batchSize: 1 };
    },
    signal: new AbortController().signal,
  });
  return sink.data!;
}

async function probabilitiesOf(
  engine: Engine,
  model: EngineModel,
  image: Raster,
  choice: TileChoice,
): Promise<Uint32Array> {
  const { buffer } = (await maskOf(
    engine,
    model,
    image,
    'probabilities',
    choice,
  )) as Float32Array<ArrayBuffer>;
  return new Uint32Array(buffer);
}

/** How many values differ; of floats, their bits are compared. */
function differences(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let count = Math.abs(a.length - b.length);
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) count++;
  return count;
}

const round = (value: number): number => Number(value.toFixed(5));
