import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Provider } from '../../../model/devices/device.js';
import type { Engine } from '../../../model/engine/engine.js';
import { OutOfMemoryError } from '../../../model/errors.js';
import type { TileBatch } from '../../../model/network/frozen.js';
import { oneLane } from '../../../server/pipeline/default-choice.js';
import { TilePredictor } from '../../../server/pipeline/predict.js';

beforeAll(() => void vi.useFakeTimers());
afterAll(() => void vi.useRealTimers());

/** A device with memory for `capacity` tiles at a time; its labels are the pixels. */
function smallDevice(capacity: number, provider: Provider = 'cpu') {
  const counts: number[] = [];
  const predict = async (_model: number, { data, count }: TileBatch) => {
    counts.push(count);
    if (count > capacity) throw new OutOfMemoryError('ONNX Runtime failed: bad allocation');
    return new Uint8Array(data);
  };
  const device = { threads: 1, laneThreads: 1, lost: () => null };
  return { counts, engine: { ...device, provider, predict } as unknown as Engine };
}

interface Four {
  readonly predictor?: TilePredictor;
  readonly exact?: boolean;
  /** Px of a batch. */
  readonly batch?: number;
  readonly sizes?: () => readonly number[];
  readonly canShrink?: boolean;
}

/** Four tiles of 2×2 px, whose pixel value is their number. */
const segmentFour = async (
  engine: Engine,
  { predictor = new TilePredictor(engine), exact = true, batch = 16, sizes, canShrink = false }: Four = {},
) => {
  const choice = { ...oneLane({ provider: 'cpu', laneThreads: 1 }), batch };
  const predict = predictor.for('job', { id: 0, exact, choice, sizes }, { canShrink });
  const tile = (i: number) => ({
    data: new Uint8Array(4).fill(i),
    count: 1,
    height: 2,
    width: 2,
    channels: 1,
  });
  const four = [1, 2, 3, 4].map(
    async (i) => (await predict(tile(i), 'labels', new AbortController().signal)).result[0],
  );
  const ends = Promise.allSettled(four);
  await vi.advanceTimersByTimeAsync(10);
  return ends;
};

it('a batch that does not fit into device memory is split in halves', async () => {
  const { counts, engine } = smallDevice(2);
  const ends = await segmentFour(engine);
  expect(ends).toEqual([1, 2, 3, 4].map((value) => ({ status: 'fulfilled', value })));
  expect(counts).toEqual([4, 2, 2]);
});

it('halves are split again, and what did not fit is not tried again', async () => {
  const { counts, engine } = smallDevice(1);
  const predictor = new TilePredictor(engine);
  for (const batches of [
    [4, 2, 1, 1, 1, 1],
    [1, 1, 1, 1],
  ]) {
    const ends = await segmentFour(engine, { predictor });
    expect(ends).toEqual([1, 2, 3, 4].map((value) => ({ status: 'fulfilled', value })));
    expect(counts.splice(0)).toEqual(batches);
  }
});

it('a tile that does not fit alone fails with that as the cause', async () => {
  const { counts, engine } = smallDevice(0);
  const ends = await segmentFour(engine, { batch: 1 });
  const reasons = ends.map((end) => (end.status === 'rejected' ? end.reason.code : null));
  expect(reasons).toEqual(Array(4).fill('out-of-memory'));
  expect(counts).toEqual([1, 1, 1, 1]);
});

it('halves on a GPU have no more tiles than are known to fit, and none that were not tested', async () => {
  const { counts, engine } = smallDevice(3, 'cuda');
  const ends = await segmentFour(engine, { sizes: () => [1, 2, 4] });
  expect(ends).toEqual([1, 2, 3, 4].map((value) => ({ status: 'fulfilled', value })));
  expect(counts).toEqual([4, 2, 2]);
});

describe('where last bits depend on the size of batches', () => {
  it('a job whose batches do not fit fails, and says what helps', async () => {
    const { counts, engine } = smallDevice(3, 'cuda');
    const ends = await segmentFour(engine, { exact: false });
    const message = expect.stringMatching(
      /^the device's memory does not suffice for batches of 4 tiles .* --batch/,
    );
    const reason = expect.objectContaining({ code: 'out-of-memory', message });
    expect(ends).toEqual(Array(4).fill({ status: 'rejected', reason }));
    expect(counts).toEqual([4]);
  });

  it('one that leaves nothing but scores goes on with a smaller size, for all of its tiles', async () => {
    const { counts, engine } = smallDevice(3, 'cuda');
    const predictor = new TilePredictor(engine);
    for (const batches of [
      [4, 2, 2],
      [2, 2],
    ]) {
      const ends = await segmentFour(engine, { predictor, exact: false, canShrink: true });
      expect(ends).toEqual([1, 2, 3, 4].map((value) => ({ status: 'fulfilled', value })));
      expect(counts.splice(0)).toEqual(batches);
    }
  });
});

it.each([
  { exact: true, batch: 12, sizes: [3, 1] },
  { exact: true, batch: 16, sizes: [4] },
  { exact: true, batch: 100, sizes: [4] },
  { exact: false, batch: 12, sizes: [3, 3] },
  { exact: false, batch: 24, sizes: [6] },
])('a GPU computes batches of few sizes, filled up: %o', async ({ exact, batch, sizes }) => {
  const { counts, engine } = smallDevice(100, 'cuda');
  const ends = await segmentFour(engine, { exact, batch });
  expect(ends).toEqual([1, 2, 3, 4].map((value) => ({ status: 'fulfilled', value })));
  expect(counts).toEqual(sizes);
});

it.each([
  [true, [2]],
  [false, [2, 4]],
])(
  'jobs whose batches differ in size share them only if that changes no bit: exact is %s',
  async (exact, sizes) => {
    const { counts, engine } = smallDevice(100, 'cuda');
    const predictor = new TilePredictor(engine);
    const tile = { data: new Uint8Array(4), count: 1, height: 2, width: 2, channels: 1 };
    const ends = [8, 16].map((batch) => {
      const choice = { ...oneLane({ provider: 'cuda', laneThreads: 1 }), batch };
      const predict = predictor.for(`job ${batch}`, { id: 0, exact, choice });
      return predict(tile, 'labels', new AbortController().signal);
    });
    await vi.advanceTimersByTimeAsync(10);
    await Promise.all(ends);
    expect(counts).toEqual(sizes);
  },
);
