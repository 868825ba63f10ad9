import { expect, it } from 'vitest';
import {
  arenaBytes,
  batchBytes,
  gpuSessionBytes,
  sessionBytes,
} from '../../../model/engine/session-bytes.js';
import { SessionMemory } from '../../../model/engine/session-memory.js';

const card = { architecture: { channels: [16] }, weights: { bytes: 1e6 } } as never;
const PX = 1e6;

/** The memory of a host, and of GPUs that have room for the session of one batch; or of a CPU. */
function memoryOf(gpu: number | undefined) {
  const released: string[] = [];
  const memory = new SessionMemory({ host: () => Number.POSITIVE_INFINITY, gpu: () => gpu });
  const run = (key: string, lane = 0) => {
    const release = async () => void released.push(key);
    return memory.run({ key, lane, model: 1, card, px: PX, release }, async () => key);
  };
  return { memory, released, run };
}

const ONE_BATCH = gpuSessionBytes(card) + arenaBytes(card, PX);

it('on a CPU, what a session runs in is in the memory of the host', async () => {
  const { memory, run } = memoryOf(undefined);
  await run('a');
  expect(memory.bytes).toEqual({ sessions: sessionBytes(card), arenas: arenaBytes(card, PX) });
});

it('on a GPU it is in that of the GPU, and copies of the batch are in that of the host', async () => {
  const { memory, run, released } = memoryOf(2 * ONE_BATCH);
  await run('a');
  await run('b');
  expect(memory.bytes).toEqual({ sessions: 2 * sessionBytes(card), arenas: 2 * batchBytes(card, PX) });
  expect(released).toEqual([]);
});

it('each GPU releases its least recently used session where another does not fit', async () => {
  const { run, released } = memoryOf(ONE_BATCH);
  await run('a');
  await run('b', 1);
  expect(released).toEqual([]);
  await run('c');
  await run('c');
  expect(released).toEqual(['a']);
});
