import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Engine, type EngineModel } from '../model/engine/engine.js';
import { DEFAULTS } from '../server/config.js';
import { measureSpeed } from '../server/pipeline/measure-speed.js';
import { TilePredictor } from '../server/pipeline/predict.js';
import { Tuner } from '../server/pipeline/tuner.js';
import { type Choice, fastestTile } from '../server/pipeline/tuning.js';
import { writeUntrained } from '../test/support/untrained.js';
import { type Bench, median } from './bench.js';

/** The paper's tile, in px of input, and the fixed output side that `auto` once had. */
const PAPER_PX = 572;
const FIXED_PX = 640;
const ROUNDS = 5;
const LIMITS = { tunedShareOfBest: 0.95, tookMs: 10_000 };

/**
 * Compares what tuning chooses with the fastest of the full grid of tiles and lanes, with the paper's tile of 572
 * px, and with outputs of 640 px: Mpx of output a second of the whole device, medians of rounds in which all four take
 * turns. On two trained models, and on an untrained one as deep as the paper's with a quarter of its channels.
 */
export const bench: Bench = async (log) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  const threads = availableParallelism();
  const figures: Record<string, unknown> = {};
  let holds = true;
  const engine = Engine.start({ provider: 'cpu', threads });
  try {
    const untrained = join(dir, 'untrained');
    const channels = [16, 32, 64, 128, 256];
    await writeUntrained(engine, untrained, { channels, inputChannels: 1, classes: 2, seed: 1 });
    const folders = {
      'em-membrane': fileURLToPath(new URL('../../models/em-membrane/1', import.meta.url)),
      shapes: fileURLToPath(new URL('../../models/shapes/1', import.meta.url)),
      'untrained, depth 4': untrained,
    };
    for (const [name, folder] of Object.entries(folders)) {
      const figure = await compare(engine, await engine.load(folder), threads);
      figures[name] = figure;
      holds &&= figure.tunedShareOfBest >= LIMITS.tunedShareOfBest && figure.tookMs <= LIMITS.tookMs;
      log(`${name}: ${JSON.stringify(figure)}`);
    }
  } finally {
    await engine.close();
    await rm(dir, { recursive: true, force: true });
  }
  return { threads, ...figures, limits: LIMITS, holds };
};

async function compare(engine: Engine, model: EngineModel, threads: number) {
  const predictor = new TilePredictor(engine);
  const use = { output: 'labels', channels: 1 } as const;
  const { signal } = new AbortController();
  const tuner = new Tuner(predictor, { threads, memory: DEFAULTS.memoryBytes, path: null });
  const slide = { size: { width: 20_000, height: 20_000 }, signal };
  const { isMeasured: _, ...tuned } = await tuner.choiceFor(model, use, slide);
  const { tookMs } = (await tuner.known(model))!;
  const grid = await tuner.measureAll(model, use, signal, () => undefined);
  const { tile, lanes, threads: each } = fastestTile(grid.measurements)!;
  const best = { ...grid.choice, tile, lanes, threads: each };
  const { left, right } = model.geometry.halo;
  const ways: Record<string, Choice> = {
    tuned,
    best,
    paper: { ...best, tile: PAPER_PX - left - right },
    fixed: { ...best, tile: FIXED_PX },
  };
  const speeds: Record<string, number[]> = {};
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, choice] of Object.entries(ways)) {
      const options = { priority: 'interactive', canTakeAll: false } as const;
      const predict = predictor.for(
        name,
        { ...model, exact: true, choice: { ...choice, isMeasured: true } },
        options,
      );
      const speed = await measureSpeed(predict, model.geometry, choice, { ...use, signal });
      (speeds[name] ??= []).push(speed);
    }
  }
  const speed = (name: string) => Number(median(speeds[name]!).toFixed(3));
  const share = (name: string) => Number((median(speeds.tuned!) / median(speeds[name]!)).toFixed(3));
  const textOf = ({ tile, lanes, threads: each }: Choice) => `${tile} px, ${lanes} × ${each}`;
  return {
    tuned: textOf(tuned),
    best: textOf(best),
    mpxPerSecond: Object.fromEntries(Object.keys(ways).map((name) => [name, speed(name)])),
    tunedShareOfBest: share('best'),
    tunedOverPaper: share('paper'),
    tunedOverFixed: share('fixed'),
    tookMs,
    gridMs: grid.tookMs,
  };
}
