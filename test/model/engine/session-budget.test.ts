import { describe, expect, it } from 'vitest';
import { SessionBudget, type SessionNeed } from '../../../model/engine/session-budget.js';

/** A budget of 100 bytes, for sessions of 10 bytes that run in 30. */
function budgetOf(limit = 100) {
  const bounds = { limit };
  const budget = new SessionBudget(() => bounds.limit);
  const released: string[] = [];
  const need = (key: string, arenaBytes = 30): SessionNeed => {
    return { key, model: 1, sessionBytes: 10, arenaBytes, release: async () => void released.push(key) };
  };
  /** Runs a batch. */
  const run = (key: string, arenaBytes?: number) => budget.run(need(key, arenaBytes), async () => key);
  return { budget, bounds, released, need, run };
}

/** A batch that ends when `end` is called. */
function begin({ budget, need }: ReturnType<typeof budgetOf>, key: string) {
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  let hasBegun = false;
  const batch = budget.run(need(key), () => {
    hasBegun = true;
    return ended;
  });
  return { batch, end: () => end(), hasBegun: () => hasBegun };
}

/** Lets everything happen that waits for nothing but promises. */
const settle = async () => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};

describe('sessions that fit together', () => {
  it('keep the memory that they ran in', async () => {
    const { budget, released, run } = budgetOf();
    for (const key of ['a', 'b', 'a']) await run(key);
    expect(budget.bytes).toEqual({ sessions: 20, arenas: 60 });
    expect(released).toEqual([]);
  });

  it('count their largest batch', async () => {
    const { budget, run } = budgetOf();
    for (const bytes of [10, 50, 20]) await run('a', bytes);
    expect(budget.bytes).toEqual({ sessions: 10, arenas: 50 });
  });

  it('are forgotten with their model', async () => {
    const { budget, run } = budgetOf();
    await run('a');
    budget.forget(2);
    expect(budget.bytes.sessions).toBe(10);
    budget.forget(1);
    expect(budget.bytes).toEqual({ sessions: 0, arenas: 0 });
  });
});

describe('sessions that do not fit together', () => {
  it('are released if they are idle, the least recently used first', async () => {
    const { released, run } = budgetOf(80);
    for (const key of ['a', 'b', 'a', 'c']) await run(key);
    expect(released).toEqual(['b']);
  });

  it('are released if the limit falls', async () => {
    const { bounds, released, run } = budgetOf();
    for (const key of ['a', 'b']) await run(key);
    bounds.limit = 50;
    await run('b');
    expect(released).toEqual(['a']);
  });
});

describe('a batch', () => {
  it('waits for running ones that leave it too little, and keeps its turn', async () => {
    const tested = budgetOf(50);
    const first = begin(tested, 'a');
    const second = begin(tested, 'b');
    const third = begin(tested, 'a');
    await settle();
    expect([first, second, third].map(({ hasBegun }) => hasBegun())).toEqual([true, false, false]);
    first.end();
    await settle();
    expect([second, third].map(({ hasBegun }) => hasBegun())).toEqual([true, false]);
    expect(tested.released).toEqual(['a']);
    second.end();
    third.end();
    await Promise.all([first.batch, second.batch, third.batch]);
    expect(tested.released).toEqual(['a', 'b']);
  });

  it('runs if it is alone, however large', async () => {
    expect(await budgetOf().run('a', 1000)).toBe('a');
  });

  it('that fails leaves an idle session', async () => {
    const { budget, released, need, run } = budgetOf(50);
    await expect(budget.run(need('a'), () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    await run('b');
    expect(released).toEqual(['a']);
  });
});
