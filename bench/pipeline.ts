import { cp, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { deflate } from 'node:zlib';
import sharp from 'sharp';
import { z } from 'zod';
import type { LaneUse } from '../model/compute-choice.js';
import { Engine, type EngineModel } from '../model/engine/engine.js';
import type { TileBatch } from '../model/network/frozen.js';
import type { JobView } from '../server/contract/schemas/job.js';
import { writeUntrained } from '../test/support/untrained.js';
import type { Rect } from '../tiling/geometry.js';
import { parseTileChoice, planTiles } from '../tiling/plan.js';
import { readTile } from '../tiling/reader.js';
import { LABEL_DEFLATE } from '../tiling/sinks/label-deflate.js';
import type { ImageSource } from '../tiling/source.js';
import { openImage } from '../tiling/sources/open.js';
import { type Bench, median } from './bench.js';
import { inLanes } from './plain-loop.js';
import { BenchServer } from './server.js';
import { writeSlide } from './slide.js';

const MODELS = ['em-membrane', 'untrained'] as const;
const TINY = { channels: [4, 8], inputChannels: 1, classes: 2, seed: 1 } as const;
const ROUNDS = 3;
/** Interval between requests for a job's state, in ms: its times are its own. */
const POLL_MS = 1000;
/** Share of the tiles that are computed bare to find the best division of the threads. */
const SAMPLE_SHARE = 1 / 12;
const SAMPLE_ROUNDS = 3;
/** The slide's time over that of the plain loop, by model, and the device's busy share. */
const LIMITS = { 'em-membrane': 1.08, untrained: 1.3, busyShare: 0.93 };
const RECEIPT = z.object({
  plan: z.object({ tile: z.string(), tiles: z.int() }),
  compute: z.object({ lanes: z.int(), threads: z.int() }),
});

const deflated = promisify(deflate);

/**
 * Compares slides that are sent to a server, decoded, segmented and written, with a plain loop over the same tiles, in
 * turns. The loop reads each tile from the slide's file, computes it, and deflates its labels, in lanes of the best
 * division of the device's threads: the least that any program does. The bare network, on tiles from memory, is
 * measured as well. A slide's time is that from the first byte of the request to the end of its job, which computes
 * every tile, in tiles of the size that it chooses itself. The device's busy share is that of the job's running time.
 */
export const bench: Bench = async (log) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  const threads = availableParallelism();
  const engine = Engine.start({ provider: 'cpu', threads });
  try {
    const models = await writeModels(join(dir, 'models'), engine);
    const slides = await writeSlides(dir, log);
    const server = await BenchServer.start(join(dir, 'data'), ['--models', models]);
    const figures: Record<string, Record<string, unknown>> = {};
    let holds = true;
    try {
      for (const name of MODELS) {
        const model = await engine.load(join(models, name, '1'));
        for (const [kind, slide] of Object.entries(slides)) {
          const figure = await compare(server, engine, { name, model, slide });
          figures[`${name}, ${kind}`] = figure;
          log(`${name}, ${kind}: ${JSON.stringify(figure)}`);
          holds &&= figure.wallOverPlain <= LIMITS[name] && figure.busyShare >= LIMITS.busyShare;
        }
      }
    } finally {
      await server.stop();
    }
    return { threads, ...figures, limits: LIMITS, holds };
  } finally {
    await engine.close();
    await rm(dir, { recursive: true, force: true });
  }
};

interface Case {
  /** What the server calls the model. */
  readonly name: string;
  readonly model: EngineModel;
  readonly slide: string;
}

async function compare(server: BenchServer, engine: Engine, { name, model, slide }: Case) {
  const first = await post(server, slide, name); // tunes the model, and warms up the server
  const { plan, compute } = RECEIPT.parse(first.receipt);
  const tiles = await onSlide(slide, model, plan.tile, async (image, rects) => {
    const read: TileBatch[] = [];
    for (const rect of rects) read.push({ ...(await readTile(image, rect)), count: 1 });
    return read;
  });
  const sample = tiles.slice(0, Math.ceil(tiles.length * SAMPLE_SHARE));
  const divisions = divisionsOf(engine.threads);
  const samples = divisions.map(() => Number.POSITIVE_INFINITY);
  for (const division of divisions) await computeBare(engine, model, tiles.slice(0, 2), division); // loads its lanes
  for (let round = 0; round < SAMPLE_ROUNDS; round++) {
    for (const [i, division] of divisions.entries()) {
      samples[i] = Math.min(samples[i]!, await computeBare(engine, model, sample, division));
    }
  }
  const best = divisions[samples.indexOf(Math.min(...samples))]!;
  const bareMs: number[] = [];
  const plainMs: number[] = [];
  const wallMs: number[] = [];
  const runningMs: number[] = [];
  const busyShares: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    bareMs.push(await computeBare(engine, model, tiles, best));
    plainMs.push(await computePlain(engine, model, slide, plan.tile, best));
    const before = await server.metrics();
    const posted = Date.now();
    const job = await post(server, slide, name);
    const [started, finished] = [Date.parse(job.startedAt!), Date.parse(job.finishedAt!)];
    wallMs.push(finished - posted);
    runningMs.push(finished - started);
    const busySeconds = (await server.metrics()).busySeconds - before.busySeconds;
    busyShares.push((1000 * busySeconds) / (finished - started));
  }
  return {
    tiles: `${plan.tiles} of ${plan.tile}`,
    lanes: `${compute.lanes} × ${compute.threads}`,
    bareLanes: `${best.lanes} × ${best.threads}`,
    wallMs: Math.round(median(wallMs)),
    runningMs: Math.round(median(runningMs)),
    bareMs: Math.round(median(bareMs)),
    plainMs: Math.round(median(plainMs)),
    wallOverPlain: Number((median(wallMs) / median(plainMs)).toFixed(3)),
    wallOverBare: Number((median(wallMs) / median(bareMs)).toFixed(3)),
    busyShare: Number(median(busyShares).toFixed(3)),
  };
}

/** Sends a slide as a job, and waits for its end. */
async function post(server: BenchServer, slide: string, model: string): Promise<JobView> {
  const { id } = await server.submit(slide, `model=${model}`);
  const job = await server.ended(id, POLL_MS);
  if (job.state !== 'succeeded') throw new Error(`the job ${job.state}: ${job.error?.detail}`);
  return job;
}

/** How lanes take all threads of a device: one each, all of them, or something between. */
function divisionsOf(threads: number): LaneUse[] {
  const each = [1, 2, Math.floor(threads / 2), threads].filter((n) => n >= 1 && n <= threads);
  return [...new Set(each)].map((n) => ({ lanes: Math.floor(threads / n), threads: n }));
}

/** Computes tiles from memory. Returns the time in ms. */
async function computeBare(
  engine: Engine,
  { id }: EngineModel,
  tiles: readonly TileBatch[],
  division: LaneUse,
): Promise<number> {
  const started = performance.now();
  await inLanes(division, tiles.length, async (i, lane) => {
    await engine.predict(id, { ...tiles[i]!, data: tiles[i]!.data.slice() }, 'labels', lane);
  });
  return performance.now() - started;
}

/** Computes tiles from the slide's file to deflated labels. Returns the time in ms. */
async function computePlain(
  engine: Engine,
  model: EngineModel,
  slide: string,
  side: string,
  division: LaneUse,
): Promise<number> {
  const started = performance.now();
  await onSlide(slide, model, side, (image, rects) =>
    inLanes(division, rects.length, async (i, lane) => {
      const tile = { ...(await readTile(image, rects[i]!)), count: 1 };
      await deflated(await engine.predict(model.id, tile, 'labels', lane), LABEL_DEFLATE);
    }),
  );
  return performance.now() - started;
}

/** Opens a slide, and passes it on with what the tiles of a job read of it. */
async function onSlide<Value>(
  slide: string,
  { geometry }: EngineModel,
  side: string,
  use: (image: ImageSource, rects: readonly Rect[]) => Promise<Value>,
): Promise<Value> {
  const image = await openImage(slide, { scratchDir: tmpdir(), maxPixels: Number.POSITIVE_INFINITY });
  try {
    const tile = parseTileChoice(side);
    if (typeof tile !== 'object') throw new Error(`a plan with tiles of ${side}`);
    const bands = [...planTiles(image.size, { tile, rule: geometry }).bands()];
    return await use(
      image,
      bands.flatMap(({ tiles }) => tiles.map(({ read }) => read)),
    );
  } finally {
    await image.close();
  }
}

/** A folder of the models that are compared. */
async function writeModels(folder: string, engine: Engine): Promise<string> {
  const membranes = fileURLToPath(new URL('../../models/em-membrane', import.meta.url));
  await cp(membranes, join(folder, 'em-membrane'), { recursive: true });
  await writeUntrained(engine, join(folder, 'untrained', '1'), TINY);
  return folder;
}

/** Writes slides with texture as microscopes do: RGB as a tiled and pyramidal JPEG TIFF, and gray, deflated. */
async function writeSlides(dir: string, log: (line: string) => void): Promise<Record<string, string>> {
  const [gray, jpeg, deflate] = ['gray', 'jpeg', 'deflate'].map((name) => join(dir, `${name}.tif`)) as [
    string,
    string,
    string,
  ];
  await writeSlide(gray, 'membranes', { width: 8192, height: 8192 });
  await sharp(gray, { limitInputPixels: false })
    .toColourspace('srgb')
    .tiff({ compression: 'jpeg', quality: 80, tile: true, tileWidth: 256, tileHeight: 256, pyramid: true })
    .toFile(jpeg);
  await rm(gray);
  await writeSlide(deflate, 'membranes', { width: 6000, height: 6000 });
  log('the slides are written');
  return { '8192² JPEG': jpeg, '6000² deflate': deflate };
}
