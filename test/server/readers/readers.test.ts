import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ReaderPool } from '../../../server/readers/pool.js';
import { testFolder } from '../../support/files.js';
import { pattern } from '../../support/rasters.js';
import { writeTestTiff } from '../../support/tiff.js';

const folder = await testFolder();
const image = join(folder, 'image.tif');
const heavy = join(folder, 'heavy.tif');
const limits = { maxPixels: 1e9 };
const picture = { singleFile: true, choice: {}, scratchDir: folder, trainingRange: undefined };

beforeAll(async () => {
  await writeTestTiff(image, pattern(64, 32), { compression: 1 });
  // Each parsed element takes a hundred times its bytes.
  const description = `<OME><Image><Pixels SizeC="1">${'<a b="c"/>'.repeat(300_000)}</Pixels></Image></OME>`;
  await writeTestTiff(heavy, pattern(64, 64), { compression: 1, description });
});

describe('a reader process', () => {
  let pool: ReaderPool;
  afterEach(() => pool.close());

  it('is evicted when idle, down to the minimum number of processes', async () => {
    const queue = { minProcesses: 1, maxProcesses: 3, maxPending: 9, timeoutMs: 30_000 };
    const times = { startAfterMs: 0, idleTimeoutMs: 100 };
    pool = new ReaderPool({ operation: 'reading', heapMb: 64, limits, ...queue, ...times });
    const calls = [1, 2, 3].map(() => pool.call('header', [{ ...picture, input: image }]));
    const started = pool.pids;
    expect(started.length).toBe(3);
    await Promise.all(calls);
    await expect.poll(() => pool.pids.length).toBeLessThan(2);
    await pool.call('header', [{ ...picture, input: image }]);
    expect(started).toContain(pool.pids[0]);
  });

  it('is started for a call that has waited, and not for one that has waited only briefly', async () => {
    const queue = { minProcesses: 1, maxProcesses: 3, maxPending: 9, timeoutMs: 30_000, startAfterMs: 250 };
    const waits: { readonly delayMs: number; readonly end: () => void }[] = [];
    let now = 1000;
    const after = (delayMs: number, end: () => void) => {
      waits.push({ delayMs, end });
      return () => undefined;
    };
    pool = new ReaderPool({ operation: 'reading', heapMb: 64, limits, ...queue }, { now: () => now, after });
    const header = () => pool.call('header', [{ ...picture, input: image }]);
    const calls = [header(), header()];
    now += 100;
    calls.push(header());
    expect(pool.pids.length).toBe(1);
    now += 150;
    waits[0]!.end();
    expect(pool.pids.length).toBe(2); // the third call has waited for 150 ms
    expect(waits.map(({ delayMs }) => delayMs)).toEqual([250, 100]);
    await Promise.all(calls);
    expect(pool.pids.length).toBe(2);
  });

  it('is waited for by a bounded number of calls', async () => {
    const queue = { minProcesses: 1, maxProcesses: 1, maxPending: 2, timeoutMs: 30_000 };
    pool = new ReaderPool({ operation: 'headers', heapMb: 64, limits, ...queue });
    const header = () => pool.call('header', [{ ...picture, input: image }]);
    const accepted = [header(), header(), header()];
    await expect(header()).rejects.toMatchObject({
      code: 'busy',
      message: '2 requests are already waiting for headers',
    });
    await Promise.all(accepted);
  });

  it('is stopped where it goes on with a call whose files are about to be removed', async () => {
    const queue = { minProcesses: 1, maxProcesses: 1, maxPending: 9, timeoutMs: 30_000, removalMs: 50 };
    const deaths: string[] = [];
    const onDeath = (cause: string) => void deaths.push(cause);
    pool = new ReaderPool({ operation: 'reading', heapMb: 64, limits, onDeath, ...queue });
    const removal = new AbortController();
    const reason = new Error('it is removed');
    const header = (signal?: AbortSignal) =>
      pool.call('header', [{ ...picture, input: image }], { removal: signal });
    await header();
    const [pid] = pool.pids;
    process.kill(pid!, 'SIGSTOP'); // as one that unpacks a large picture
    const calls = [header(removal.signal), header(removal.signal)]; // one runs, one is pending
    const other = header();
    await setImmediate(); // the first one is sent
    removal.abort(reason);
    expect(await Promise.allSettled(calls)).toEqual(calls.map(() => ({ status: 'rejected', reason })));
    expect(await other).toMatchObject({ size: { width: 64, height: 32 } });
    expect(pool.pids).not.toContain(pid);
    expect(deaths).toEqual([]);
  });

  it('that runs out of memory fails only the call that caused it, by name', async () => {
    const queue = { minProcesses: 1, maxProcesses: 1, maxPending: 9, timeoutMs: 30_000 };
    const deaths: string[] = [];
    const onDeath = (cause: string) => void deaths.push(cause);
    pool = new ReaderPool({ operation: 'reading', heapMb: 40, limits, onDeath, ...queue });
    const [pid] = pool.pids;
    const tile = { level: 0, column: 0, row: 0 };
    const header = (input: string) => pool.call('header', [{ ...picture, input }]);
    const size = { width: 64, height: 32 };
    const others = [header(image)];
    const costly = [header(heavy), pool.call('imageTile', [{ ...picture, input: heavy }, tile])];
    others.push(header(image));
    const answers = await Promise.allSettled(costly);
    const reason = { code: 'corrupt-image', message: 'reading crashed its process (SIGABRT)' };
    expect(answers).toMatchObject(costly.map(() => ({ status: 'rejected', reason })));
    for (const call of others) expect(await call).toMatchObject({ size });
    expect(pool.pids).not.toContain(pid);
    expect(deaths).toEqual(['crash', 'crash', 'crash', 'crash']); // each of the two was tried twice
  });
});
