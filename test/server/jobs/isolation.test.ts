import { describe, expect, it } from 'vitest';
import { Isolation, type Suspicion } from '../../../server/jobs/isolation.js';

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('isolation', () => {
  /** Jobs that run until they are cleared or ended by name, and the jobs that hold the device. */
  function isolation() {
    const log: string[] = [];
    let holds = 0;
    const running = new Map<string, { clear: () => void; end: () => void }>();
    const isolated = new Isolation(() => {
      holds++;
      let isHeld = true;
      return () => {
        if (isHeld) holds--;
        isHeld = false;
      };
    });
    const { signal } = new AbortController();
    return {
      log,
      running,
      holds: () => holds,
      suspect: (name: string, suspicion: Suspicion, stop = signal) =>
        isolated.run(suspicion, stop, (clear) => {
          log.push(name);
          return new Promise<void>((end) => running.set(name, { clear, end }));
        }),
      other: (name: string, stop = signal) => isolated.pass(stop).then(() => void log.push(name)),
    };
  }

  it('runs suspects one at a time, and all other jobs once they are cleared or have ended', async () => {
    const { log, running, holds, suspect, other } = isolation();
    void suspect('a', 'worker-crash');
    void suspect('b', 'worker-crash');
    void other('c');
    await settled();
    expect([log, holds()]).toEqual([['a'], 1]);
    running.get('a')!.clear();
    await settled();
    expect([log, holds()]).toEqual([['a', 'b'], 1]);
    running.get('b')!.end();
    await settled();
    expect([log, holds()]).toEqual([['a', 'b', 'c'], 0]);
  });

  it('lets other jobs overtake the suspects of a server crash', async () => {
    const { log, suspect, other } = isolation();
    void suspect('a', 'server-crash');
    void other('c');
    await settled();
    expect(log).toEqual(['a', 'c']);
  });

  it('skips a suspect that is cancelled while it waits', async () => {
    const { log, running, holds, suspect, other } = isolation();
    const cancelled = new AbortController();
    const first = suspect('a', 'worker-crash');
    const second = suspect('b', 'worker-crash', cancelled.signal);
    const third = suspect('c', 'worker-crash');
    const waiting = other('d', cancelled.signal);
    cancelled.abort(new Error('cancelled'));
    await expect(second).rejects.toThrow('cancelled');
    await expect(waiting).rejects.toThrow('cancelled');
    running.get('a')!.end();
    await first;
    await settled();
    expect(log).toEqual(['a', 'c']);
    running.get('c')!.end();
    await third;
    expect(holds()).toBe(0);
  });
});
