import { describe, expect, it } from 'vitest';
import { Watchdog } from '../../../server/worker/watchdog.js';

describe('the watchdog', () => {
  const limits = { beatMs: 1000, silentMs: 3000, hungMs: 5000, batchMs: 60_000, batchFactor: 20 };
  const watched = () => {
    const why: string[] = [];
    return { why, dog: new Watchdog(limits, (reason) => why.push(reason)) };
  };

  it('reports a silent worker as unready, then as hung; any message resets it', () => {
    const { why, dog } = watched();
    const ticks = (count: number) => {
      for (let i = 0; i < count; i++) dog.tick();
    };
    ticks(3);
    expect(dog.unready).toBeNull();
    ticks(1);
    expect(dog.unready).toBe('the worker has not responded for 4 s');
    dog.reset();
    expect(dog.unready).toBeNull();
    ticks(5);
    expect(why).toEqual([]);
    ticks(1);
    expect(why).toEqual(['the worker sent nothing for 5 s']);
  });

  it('limits a batch to 60 s, or twenty times its expected duration', () => {
    const { why, dog } = watched();
    dog.beat({ batches: [] });
    dog.beat({ batches: [{ ranMs: 59_000, expectedMs: 10 }] });
    const slow = { ranMs: 99_000, expectedMs: 5000 };
    dog.beat({ batches: [slow] });
    expect(why).toEqual([]);
    dog.beat({ batches: [slow, { ranMs: 61_000, expectedMs: 10 }] });
    dog.beat({ batches: [{ ranMs: 101_000, expectedMs: 5000 }] });
    expect(why).toEqual(['a batch took longer than 60 s', 'a batch took longer than 100 s']);
  });
});
