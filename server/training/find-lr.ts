import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RangeTest, rangeTest } from '../../model/train/lr-finder.js';
import { chartsSvg } from '../svg/charts.js';
import { ProgressBar } from '../terminal/progress.js';
import type { TrainSession } from './session.js';
import { setUpTraining } from './setup.js';

/** Runs a learning-rate range test, plots its losses as SVG, and prints the suggested rate. */
export async function findLearningRate(
  session: TrainSession,
  range: { readonly low: number; readonly high: number; readonly steps: number },
  path: string,
): Promise<void> {
  const { context, engine } = session;
  const { signal } = context;
  const { trainee, sampler } = await setUpTraining(engine, { ...session, signal });
  const folder = await mkdtemp(join(tmpdir(), 'unseam-lr-'));
  const bar = new ProgressBar('{bar} {value}/{total} rates, {rate}: loss {loss}{left}');
  try {
    const state = join(folder, 'state');
    await trainee.saveState(state, null);
    const { epochSteps } = sampler;
    const batch = (index: number) => sampler.batch(Math.floor(index / epochSteps), index % epochSteps);
    const test = rangeTest(trainee, { ...range, batch, signal });
    let result: RangeTest | null = null;
    for (let done = 1; result === null; done++) {
      const { value, done: isFinished } = await test.next();
      if (isFinished) result = value;
      else {
        const payload = { rate: value.learningRate.toExponential(1), loss: value.smoothed.toFixed(4) };
        bar.update(done, range.steps, payload);
      }
    }
    await trainee.loadState(state);
    bar.stop();
    await report(session, result, path);
  } finally {
    bar.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function report(
  { context }: TrainSession,
  { points, diverged, suggestion }: RangeTest,
  path: string,
): Promise<void> {
  const mark =
    suggestion === null ? {} : { mark: { x: suggestion, text: `suggested: ${suggestion.toExponential(1)}` } };
  const losses = (of: 'loss' | 'smoothed') => points.map((point) => [point.learningRate, point[of]] as const);
  const series = [
    { name: 'loss', colour: '#3182bd', faint: true, points: losses('loss') },
    { name: 'smoothed', colour: '#08519c', points: losses('smoothed') },
  ];
  const title = 'Learning-rate range test';
  await writeFile(
    path,
    chartsSvg([{ title, xLabel: 'learning rate', logX: true, cutAbove: 4, series, ...mark }]),
  );
  if (diverged !== null) {
    const { learningRate, loss } = points[diverged]!;
    context.stderr(
      `diverged at step ${diverged + 1}, learning rate ${learningRate.toExponential(2)}, with loss ${loss}`,
    );
  }
  const lowest = Math.min(...points.map(({ smoothed }) => smoothed).filter(Number.isFinite));
  context.stderr(
    suggestion === null
      ? 'no suggestion: the loss never fell; try a wider range'
      : `suggested learning rate: ${suggestion.toExponential(2)}, where the loss falls fastest (lowest smoothed loss: ${lowest.toFixed(4)})`,
  );
  const numbers = points.map(({ learningRate, loss, smoothed }) => ({ learningRate, loss, smoothed }));
  context.stdout(
    JSON.stringify({ suggestion, diverged: diverged === null ? null : diverged + 1, points: numbers }),
  );
}
