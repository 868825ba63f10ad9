import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Engine } from '../model/engine/engine.js';
import { writeUntrained } from '../test/support/untrained.js';
import { type Bench, median } from './bench.js';
import { Packages } from './rivals/python.js';
import { networkOf } from './train-step/network.js';
import { Torch, type TorchLayout } from './train-step/torch.js';
import { Training } from './train-step/training.js';

const SIDE = 572;
const BASES = [16, 32] as const;
const ROUNDS = 7;
/** Steps in a round; their mean is one measurement, long enough to include the preparation of batches. */
const STEPS = 3;
const THREADS = 2;
const LAYOUTS: readonly TorchLayout[] = ['contiguous_format', 'channels_last'];
const LIMITS = {
  bareOverTorch: 1,
  bareOverForward: 4,
  fullOverBare: 1.1,
  peakMb16: 1500,
  peakMb32: 2900,
};

/**
 * Measures a training step on a batch already in memory (`bare`) against three others: the forward pass of the same
 * network when served (`forward`); a step during which the next batch is read, deformed and weighted, as in `unseam
 * train` (`full`); and PyTorch's step on the same network, in the faster of two memory layouts. The training has a
 * process of its own, whose peak memory is measured.
 */
export const bench: Bench = async (log) => {
  const missing = (await Packages.find()).lackOf(['torch']);
  const figures: Record<string, Awaited<ReturnType<typeof measureBase>>> = {};
  for (const base of BASES) {
    figures[`base${base}`] = await measureBase(base, missing === null ? LAYOUTS : []);
    log(`base ${base}: ${JSON.stringify(figures[`base${base}`])}`);
  }
  const holds = BASES.every((base) => {
    const { fullOverBare, bareOverForward, bareOverTorch, peakMb } = figures[`base${base}`]!;
    return (
      fullOverBare <= LIMITS.fullOverBare &&
      bareOverForward <= LIMITS.bareOverForward &&
      (bareOverTorch === null || bareOverTorch <= LIMITS.bareOverTorch) &&
      peakMb <= LIMITS[`peakMb${base}`]
    );
  });
  const skipped = missing === null ? {} : { torch: missing };
  return { side: SIDE, threads: THREADS, ...figures, skipped, limits: LIMITS, holds };
};

/** Medians in ms, by kind of step, their ratios, and the training's peak memory. */
async function measureBase(base: number, layouts: readonly TorchLayout[]) {
  const options = { base, side: SIDE, threads: THREADS, steps: STEPS };
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  const engine = Engine.start({ provider: 'cpu', threads: THREADS });
  const training = await Training.start(options);
  const torches: Torch[] = [];
  try {
    await writeUntrained(engine, join(dir, 'net'), networkOf(base));
    const { id } = await engine.load(join(dir, 'net'));
    let peakMb = 0;
    const train = (feeding: 'bare' | 'full') => async () => {
      const measured = await training.measure(feeding);
      peakMb = measured.peakMb;
      return measured.ms;
    };
    const tasks: Record<string, () => Promise<number>> = {
      forward: () => forward(engine, id),
      bare: train('bare'),
      full: train('full'),
    };
    for (const layout of layouts) {
      const torch = await Torch.start({ layout, ...options });
      torches.push(torch);
      tasks[layout] = () => torch.step();
    }
    const { forward: forwardMs, bare, full, ...torch } = await mediansOf(tasks);
    const fastest = layouts.length > 0 ? Math.min(...Object.values(torch)) : null;
    return {
      ...rounded({ forward: forwardMs!, bare: bare!, full: full!, ...torch }, 1),
      ...rounded({ fullOverBare: full! / bare!, bareOverForward: bare! / forwardMs! }, 3),
      bareOverTorch: fastest && Number((bare! / fastest).toFixed(3)),
      peakMb,
    };
  } finally {
    for (const torch of torches) await torch.close();
    await training.close();
    await engine.close();
    await rm(dir, { recursive: true, force: true });
  }
}

/** The median of each task, which are run in turn; a first round compiles. */
async function mediansOf(
  tasks: Readonly<Record<string, () => Promise<number>>>,
): Promise<Record<string, number>> {
  const times: Record<string, number[]> = {};
  for (let round = -1; round < ROUNDS; round++) {
    for (const [name, task] of Object.entries(tasks)) {
      await delay(100); // until the threads of the task before it have stopped spinning
      const ms = await task();
      if (round >= 0) (times[name] ??= []).push(ms);
    }
  }
  return Object.fromEntries(Object.entries(times).map(([name, all]) => [name, median(all)]));
}

/** The mean time of a forward pass in ms. */
async function forward(engine: Engine, id: number): Promise<number> {
  const started = performance.now();
  for (let i = 0; i < STEPS; i++) {
    const tile = { data: new Uint8Array(SIDE * SIDE), count: 1, height: SIDE, width: SIDE, channels: 1 };
    await engine.predict(id, tile, 'probabilities');
  }
  return (performance.now() - started) / STEPS;
}

const rounded = <Name extends string>(values: Readonly<Record<Name, number>>, digits: number) =>
  Object.fromEntries(
    Object.entries<number>(values).map(([name, v]) => [name, Number(v.toFixed(digits))]),
  ) as Record<Name, number>;
