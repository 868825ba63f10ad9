import { mkdtemp, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FolderLock, type LockOptions } from '../../../server/storage/lock.js';
import { testFolder } from '../../support/files.js';

const root = await testFolder();
const newFolder = () => mkdtemp(join(root, 'data-'));

/** A manual clock. `pass` waits until every woken waiter has done its I/O and waits again. */
function clock() {
  let [time, waits] = [0, 0];
  const waiting = new Set<{ readonly at: number; readonly wake: () => void }>();
  return {
    now: () => time,
    waiting: () => waiting.size,
    wait: (ms: number, signal: AbortSignal) =>
      new Promise<void>((resolve) => {
        waits++;
        const one = {
          at: time + ms,
          wake: () => {
            waiting.delete(one);
            signal.removeEventListener('abort', one.wake);
            resolve();
          },
        };
        if (signal.aborted) return resolve();
        waiting.add(one);
        signal.addEventListener('abort', one.wake);
      }),
    async pass(ms: number) {
      for (const end = time + ms; time < end; ) {
        time += 500;
        const woken = [...waiting].filter((one) => one.at <= time && waiting.delete(one));
        const expected = waits + woken.length;
        for (const one of woken) one.wake();
        while (waits < expected) await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
}

/** A server that looks like one of another host to the lock. */
function server(host: string, { now, wait }: ReturnType<typeof clock>) {
  const lost: string[] = [];
  const stop = new AbortController();
  const self = { boot: `boot of ${host}`, namespace: 'pid:[1]', host, pid: 1, started: '7' };
  const options: LockOptions = {
    now,
    wait,
    self,
    signal: stop.signal,
    onLost: (by) => void lost.push(by),
  };
  return { options, lost, stop };
}

/** Starts to acquire a folder; `lock` is set once acquired. */
function taking(folder: string, options: LockOptions) {
  const state: { lock: FolderLock | null } = { lock: null };
  FolderLock.take(folder, options).then(
    (lock) => (state.lock = lock),
    () => undefined, // stopped at the end of its test
  );
  return state;
}

describe('a folder shared by two hosts', () => {
  it('is locked by the first one as long as it renews its lease', async () => {
    const folder = await newFolder();
    const time = clock();
    const first = await FolderLock.take(folder, server('a', time).options);
    const other = server('b', time);
    const second = taking(folder, other.options);
    await expect.poll(() => time.waiting()).toBe(2); // it has read the lease
    await time.pass(60_000);
    expect(second.lock).toBeNull();
    await first.release();
    await time.pass(1000);
    expect(second.lock).not.toBeNull();
    await second.lock!.release();
  });

  it('is acquired 15 s after the last renewal by exactly one of the waiters', async () => {
    const folder = await newFolder();
    const time = clock();
    const frozen = clock(); // the holder's process is suspended
    const holder = server('a', frozen);
    await FolderLock.take(folder, holder.options);
    const others = ['b', 'c', 'd'].map((host) => server(host, time));
    const takings = others.map(({ options }) => taking(folder, options));
    await expect.poll(() => time.waiting()).toBe(3);
    await time.pass(14_000);
    expect(takings.filter(({ lock }) => lock)).toHaveLength(0);
    await time.pass(40_000);
    expect(takings.filter(({ lock }) => lock)).toHaveLength(1);
    // The holder wakes up, and notices the loss before its next write.
    await frozen.pass(5000);
    expect(holder.lost).toEqual([expect.stringMatching(/^process 1 of [bcd]$/)]);
    for (const { stop } of others) stop.abort();
    await takings.find(({ lock }) => lock)!.lock!.release();
  });
});

describe('on a system that does not say when a process was started', () => {
  /** A server of this machine whose process exists, as far as that can be seen: this one. */
  const local = (time: ReturnType<typeof clock>): LockOptions => ({
    ...server('a', time).options,
    self: { boot: null, namespace: null, host: 'a', pid: process.pid, started: 'alive' },
  });

  it('a folder whose holder renews its lease is refused', async () => {
    const folder = await newFolder();
    const time = clock();
    const first = await FolderLock.take(folder, local(time));
    let isWaiting = false;
    const second = FolderLock.take(folder, {
      ...local(clock()),
      wait: () => new Promise((resolve) => setImmediate(resolve)),
      onWaiting: () => (isWaiting = true),
    });
    second.catch(() => undefined); // expected below
    await expect.poll(() => isWaiting).toBe(true);
    await time.pass(5000);
    await expect(second).rejects.toMatchObject({ code: 'folder-in-use' });
    await first.release();
  });

  it('a folder is acquired after 15 s from a process that ended, and whose PID another one got', async () => {
    const folder = await newFolder();
    await FolderLock.take(folder, local(clock())); // its clock stands still, as that of a process that is gone
    const time = clock();
    const next = taking(folder, local(time));
    await expect.poll(() => time.waiting()).toBe(1);
    await time.pass(14_000);
    expect(next.lock).toBeNull();
    await time.pass(2000);
    expect(next.lock).not.toBeNull();
    await next.lock!.release();
  });
});

describe('a truncated lock', () => {
  it('is ignored and replaced by the next one', async () => {
    const folder = await newFolder();
    await (await FolderLock.take(folder, server('a', clock()).options)).release();
    const [name] = (await readdir(folder)).filter((each) => each.endsWith('.lock'));
    await writeFile(join(folder, name!), '{"tok');
    await (await FolderLock.take(folder, server('b', clock()).options)).release();
  });
});
