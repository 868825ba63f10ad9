import { describe, expect, it } from 'vitest';
import { Batcher, type BatcherOptions, type Clock } from '../../model/batcher.js';

/** A clock that moves when it is told to. */
class ManualClock implements Clock {
  #now = 0;
  #timers = new Set<{ at: number; callback: () => void }>();
  now = () => this.#now;
  after = (delayMs: number, callback: () => void) => {
    const timer = { at: this.#now + delayMs, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  };
  async advance(ms: number): Promise<void> {
    this.#now += ms;
    for (const timer of [...this.#timers]) {
      if (timer.at > this.#now) continue;
      this.#timers.delete(timer);
      timer.callback();
    }
    await settle();
  }
}
const settle = () => new Promise(setImmediate);

function setup(options: Partial<BatcherOptions<string, string>> = {}) {
  const clock = new ManualClock();
  const batches: string[][] = [];
  const finish: (() => void)[] = [];
  const batcher = new Batcher<string, string>({
    maxBatch: () => 3,
    maxDelayMs: 5,
    maxInFlight: 1,
    clock,
    run: (items) => {
      batches.push([...items]);
      return new Promise((resolve) => finish.push(() => resolve(items.map((item) => item.toUpperCase()))));
    },
    ...options,
  });
  const submit = (item: string, job = 'job', group = 'g', signal?: AbortSignal) =>
    batcher.submit({ group, job, item, ...(signal && { signal }) });
  return { clock, batches, finish, batcher, submit };
}

describe('a batcher', () => {
  it('answers each item with its own result', async () => {
    const { finish, submit } = setup();
    const answers = Promise.all(['a', 'b', 'c'].map((item) => submit(item)));
    finish[0]!();
    expect((await answers).map(({ result, batchSize }) => [result, batchSize])).toEqual([
      ['A', 3],
      ['B', 3],
      ['C', 3],
    ]);
  });

  it('runs a full batch at once, and a partial one after its delay', async () => {
    const { clock, batches, submit } = setup({ maxInFlight: 9 });
    void submit('a');
    void submit('b');
    await clock.advance(4);
    expect(batches).toEqual([]);
    void submit('c');
    expect(batches).toEqual([['a', 'b', 'c']]);
    void submit('d');
    await clock.advance(5);
    expect(batches[1]).toEqual(['d']);
  });

  it('keeps no more batches in flight than it may, and gathers meanwhile', async () => {
    const { clock, batches, finish, submit, batcher } = setup({ maxInFlight: 1 });
    for (const item of 'abcdefgh') void submit(item);
    expect(batches.length).toBe(1);
    expect(batcher.depth).toBe(5);
    finish[0]!();
    await settle();
    expect(batches[1]).toEqual(['d', 'e', 'f']);
    finish[1]!();
    await clock.advance(5);
    expect(batches[2]).toEqual(['g', 'h']);
  });

  it('lets jobs take turns: a slide does not hold up a small image', async () => {
    const { batches, finish, submit } = setup();
    for (const item of ['s1', 's2', 's3', 's4', 's5', 's6']) void submit(item, 'slide');
    void submit('i1', 'image');
    finish[0]!();
    await settle();
    expect(batches[1]).toEqual(['s4', 'i1', 's5']);
  });

  it('puts only items of one group into a batch', async () => {
    const { clock, batches, submit } = setup({ maxInFlight: 9 });
    void submit('a', 'job', 'one');
    void submit('x', 'job', 'two');
    void submit('b', 'job', 'one');
    await clock.advance(5);
    expect(batches).toEqual([['a', 'b'], ['x']]);
  });

  it('drops what was cancelled before it makes the next batch', async () => {
    const { batches, finish, submit, batcher } = setup();
    for (const item of 'abc') void submit(item);
    const cancelled = new AbortController();
    const gone = submit('gone', 'job', 'g', cancelled.signal);
    for (const item of 'xyz') void submit(item);
    cancelled.abort(new Error('the client left'));
    await expect(gone).rejects.toThrow('the client left');
    expect(batcher.depth).toBe(3);
    finish[0]!();
    await settle();
    expect(batches[1]).toEqual(['x', 'y', 'z']);
    await expect(submit('late', 'job', 'g', cancelled.signal)).rejects.toThrow('the client left');
  });

  it('fails the items of a batch that fails, and goes on', async () => {
    let broken = true;
    const { submit } = setup({
      run: async (items) => {
        if (broken) throw new Error('no device');
        return items;
      },
    });
    const failed = await Promise.allSettled(['a', 'b', 'c'].map((item) => submit(item)));
    expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    broken = false;
    const answers = await Promise.all(['d', 'e', 'f'].map((item) => submit(item)));
    expect(answers.map(({ result }) => result)).toEqual(['d', 'e', 'f']);
  });
});
