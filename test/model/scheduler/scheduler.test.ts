import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../model/scheduler/clock.js';
import type { DeviceUse, Place } from '../../../model/scheduler/device-lanes.js';
import { PRIORITIES, type Priority } from '../../../model/scheduler/priority.js';
import { type Batched, Scheduler, type SchedulerOptions } from '../../../model/scheduler/scheduler.js';

/** A manual clock, which advances from timer to timer. */
class ManualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ at: number; callback: () => void }>();
  now = () => this.#now;
  after = (delayMs: number, callback: () => void) => {
    const timer = { at: this.#now + delayMs, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  };
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settle();
      const [next] = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (!next) break;
      this.#timers.delete(next);
      this.#now = next.at;
      next.callback();
    }
    this.#now = end;
  }
}
const settle = () => new Promise(setImmediate);

interface Item {
  readonly name: string;
  readonly pixels: number;
  readonly use: DeviceUse;
}

interface Submitted {
  readonly items: readonly Item[];
  readonly place: Place;
  readonly end: () => void;
  begun: boolean;
}

/** A device whose lanes run one batch each at a time; a thread takes `MS_PER_PX` per px. */
class Device {
  readonly begun: string[][] = [];
  /** The place of each batch that has begun, with its items. */
  readonly places: string[] = [];
  /** Batches submitted to a lane that have not completed. */
  mostInside = 0;
  /** Threads that ran at the same time. */
  mostThreads = 0;
  /** Lanes that have run a batch of an item that may not use them. */
  readonly misused: number[] = [];
  broken = false;
  readonly #lanes: Submitted[][] = Array.from({ length: 16 }, () => []);

  constructor(private readonly clock: Clock) {}

  start = (items: readonly Item[], place: Place) => {
    let end = () => {};
    const results = new Promise<string[]>((resolve, reject) => {
      end = () => {
        if (this.broken) reject(new Error('no device'));
        else resolve(items.map(({ name }) => name.toUpperCase()));
      };
    });
    const batch: Submitted = { items, place, end, begun: false };
    const lane = this.#lanes[place.lane]!;
    lane.push(batch);
    this.mostInside = Math.max(this.mostInside, lane.length);
    this.#next(lane);
    const revoke = () => {
      if (!batch.begun) lane.splice(lane.indexOf(batch), 1);
      return !batch.begun;
    };
    return { results, revoke };
  };

  #next(lane: Submitted[]): void {
    const [batch] = lane;
    if (!batch || batch.begun) return;
    batch.begun = true;
    const { items, place } = batch;
    const names = items.map(({ name }) => name);
    this.begun.push(names);
    this.places.push(`${place.lane}:${place.threads} ${names.join('')}`);
    if (place.lane >= items[0]!.use.lanes) this.misused.push(place.lane);
    const running = this.#lanes.flatMap(([first]) => (first?.begun ? [first.place.threads] : []));
    this.mostThreads = Math.max(
      this.mostThreads,
      running.reduce((sum, threads) => sum + threads, 0),
    );
    const pixels = items.reduce((sum, item) => sum + item.pixels, 0);
    this.clock.after((pixels * MS_PER_PX) / place.threads, () => {
      lane.shift();
      batch.end();
      this.#next(lane);
    });
  }
}
const MS_PER_PX = 0.1;
/** A device of one lane of one thread. */
const ONE: DeviceUse = { lanes: 1, threads: 1, canTakeAll: false };

interface Asked {
  readonly name: string;
  readonly job?: string;
  readonly priority?: Priority;
  readonly group?: string;
  readonly pixels?: number;
  readonly use?: DeviceUse;
  readonly signal?: AbortSignal;
}

function setup(options: Partial<SchedulerOptions<Item, string>> = {}) {
  const clock = new ManualClock();
  const device = new Device(clock);
  const scheduler = new Scheduler<Item, string>({
    start: device.start,
    threads: 1,
    use: ({ use }) => use,
    maxBatch: () => 1,
    maxDelayMs: 0,
    agingMs: 2000,
    pixels: ({ pixels }) => pixels,
    clock,
    ...options,
  });
  const submit = ({ name, use = ONE, pixels = 100, job = 'job', group = 'g', ...asked }: Asked) => {
    const { priority = 'normal', signal } = asked;
    return scheduler.submit({
      group,
      job,
      priority,
      model: group,
      item: { name, pixels, use },
      ...(signal && { signal }),
    });
  };
  const names = (text: string, more: Omit<Asked, 'name'> = {}) =>
    Promise.all([...text].map((name) => submit({ name, ...more })));
  return { clock, device, scheduler, submit, names };
}

describe('a scheduler', () => {
  it('resolves each item with its own result, and reports its wait and run times', async () => {
    const { clock, names } = setup({ maxBatch: () => 3 });
    const answers = names('abcd');
    await clock.advance(100);
    expect(await answers).toEqual([
      { result: 'A', batchSize: 1, queuedMs: 0, ranMs: 10 },
      { result: 'B', batchSize: 1, queuedMs: 10, ranMs: 10 },
      { result: 'C', batchSize: 2, queuedMs: 20, ranMs: 20 },
      { result: 'D', batchSize: 2, queuedMs: 20, ranMs: 20 },
    ]);
  });

  it('runs a full batch at once, and a partial batch after its delay', async () => {
    const { clock, device, names, submit } = setup({ maxBatch: () => 3, maxDelayMs: 5 });
    void names('ab');
    await clock.advance(4);
    expect(device.begun).toEqual([]);
    void names('c');
    expect(device.begun).toEqual([['a', 'b', 'c']]);
    await clock.advance(30);
    void submit({ name: 'd' });
    await clock.advance(5);
    expect(device.begun[1]).toEqual(['d']);
  });

  it('keeps one batch running and one ready on the device, and collects items meanwhile', async () => {
    const { clock, device, names, scheduler } = setup({ maxBatch: () => 3, maxDelayMs: 5 });
    void names('abcdefgh');
    expect([device.mostInside, scheduler.depth]).toEqual([2, 2]);
    await clock.advance(200);
    expect(device.begun).toEqual([
      ['a', 'b', 'c'],
      ['d', 'e', 'f'],
      ['g', 'h'],
    ]);
    expect(device.mostInside).toBe(2);
  });

  it('batches only items of one group, and jobs take turns in it', async () => {
    const { clock, device, names } = setup({ maxBatch: () => 3, maxDelayMs: 5 });
    void names('stuvwx', { job: 'slide' });
    void names('yz', { job: 'other', group: 'other' });
    void names('i', { job: 'image' });
    await clock.advance(500);
    expect(device.begun).toEqual([['s', 't', 'u'], ['v', 'w', 'x'], ['y', 'z'], ['i']]);
    const shared = setup({ maxBatch: () => 3 });
    void shared.names('stuvwxyz', { job: 'slide' });
    void shared.names('i', { job: 'image' });
    await shared.clock.advance(500);
    expect(shared.device.begun.map((batch) => batch.sort().join('')).slice(0, 3)).toEqual(['s', 't', 'iuv']);
  });

  it('runs more urgent items first: a ready batch of a slide is requeued', async () => {
    const { clock, device, names, scheduler } = setup();
    const slide = names('stuv', { priority: 'bulk', group: 'slide' });
    await clock.advance(5);
    void names('i', { priority: 'interactive' });
    expect(scheduler.depth).toBe(2 + 1); // t is back, and i is ready
    await clock.advance(100);
    expect(device.begun).toEqual([['s'], ['i'], ['t'], ['u'], ['v']]);
    expect((await slide).map(({ result }) => result)).toEqual(['S', 'T', 'U', 'V']);
  });

  it('starves no class', async () => {
    const { clock, device, submit, names } = setup({ agingMs: 100 });
    void names('s', { priority: 'bulk' });
    let [next, running] = [0, true];
    const press = async () => {
      while (running) await submit({ name: `i${next++}`, priority: 'interactive' });
    };
    void press();
    void press();
    void press();
    void names('t', { priority: 'bulk' });
    await clock.advance(125);
    running = false;
    expect(device.begun.flat().indexOf('t')).toBeGreaterThan(5);
  });

  it('reports the running batch and its expected duration', async () => {
    const { clock, scheduler, names } = setup();
    expect(scheduler.running).toEqual([]);
    void names('abc', { pixels: 200 });
    await clock.advance(45);
    expect(scheduler.running).toEqual([{ lane: 0, since: 40, expectedMs: expect.closeTo(20) }]);
    await clock.advance(45);
    expect(scheduler.running).toEqual([]);
  });

  it('drops cancelled items from its queue and from a ready batch', async () => {
    const { clock, device, names, submit, scheduler } = setup({ maxBatch: () => 2 });
    const left = new AbortController();
    void names('a');
    const ready = submit({ name: 'b', signal: left.signal });
    void names('c');
    const waiting = submit({ name: 'd', signal: left.signal });
    left.abort(new Error('the client left'));
    await expect(ready).rejects.toThrow('the client left');
    await expect(waiting).rejects.toThrow('the client left');
    await expect(submit({ name: 'late', signal: left.signal })).rejects.toThrow('the client left');
    await clock.advance(100);
    expect(device.begun).toEqual([['a'], ['c']]);
    expect(scheduler.depth).toBe(0);
  });

  it('rejects the items of a failed batch, and continues', async () => {
    const { clock, device, names, submit } = setup();
    device.broken = true;
    const failed = Promise.allSettled([submit({ name: 'a' }), submit({ name: 'b' })]);
    await clock.advance(100);
    expect((await failed).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    device.broken = false;
    const answers = names('cd');
    await clock.advance(100);
    expect((await answers).map(({ result }) => result)).toEqual(['C', 'D']);
  });
});

describe('lanes', () => {
  const use: DeviceUse = { lanes: 2, threads: 1, canTakeAll: false };
  const bulk = { priority: 'bulk', group: 'slide', use } as const;

  it('run a batch each, with one ready behind it', async () => {
    const { clock, device, names, scheduler } = setup({ threads: 2 });
    void names('abcdef', { use });
    expect([device.mostInside, scheduler.depth]).toEqual([2, 2]);
    expect(scheduler.running.length).toBe(2);
    await clock.advance(200);
    expect(device.places).toEqual(['0:1 a', '1:1 b', '0:1 c', '1:1 d', '0:1 e', '1:1 f']);
  });

  it('are one while fewer items wait than there are lanes: each has the whole device', async () => {
    const { clock, device, names } = setup({ threads: 2 });
    const scarce = { use: { ...use, canTakeAll: true } };
    void names('a', scarce);
    await clock.advance(1);
    void names('bcde', scarce);
    await clock.advance(200);
    expect(device.places).toEqual(['0:2 a', '0:2 b', '0:1 c', '1:1 d', '0:1 e']);
  });

  it('share the items that wait', async () => {
    const { clock, device, names } = setup({ threads: 2, maxBatch: () => 8, maxDelayMs: 5 });
    void names('abcdef', { use });
    await clock.advance(200);
    expect(device.places).toEqual(['0:1 abc', '1:1 de', '1:1 f']);
  });

  it('run an urgent item as soon as one of them is free; the others keep what is ready', async () => {
    const { clock, device, names, submit, scheduler } = setup({ threads: 2 });
    void names('ab', bulk); // the first batches tell what a px costs
    await clock.advance(100);
    void submit({ name: 's', pixels: 400, ...bulk });
    void submit({ name: 't', pixels: 100, ...bulk });
    void names('uv', bulk);
    await clock.advance(5);
    void names('i', { priority: 'interactive', use });
    expect(scheduler.depth).toBe(1); // u, which was ready behind t
    await clock.advance(200);
    expect(device.places.slice(2)).toEqual(['0:1 s', '1:1 t', '1:1 i', '1:1 u', '1:1 v']);
  });

  it('take over what is ready behind another one', async () => {
    const { clock, device, submit } = setup({ threads: 2 });
    for (const [name, pixels] of [
      ['a', 400],
      ['b', 100],
      ['c', 100],
    ] as const) {
      void submit({ name, pixels, use });
    }
    await clock.advance(200);
    expect(device.places).toEqual(['0:1 a', '1:1 b', '1:1 c']);
  });

  it('wait for a batch of more threads, which is not overtaken', async () => {
    const { clock, device, names } = setup({ threads: 4 });
    void names('abcd', { use: { ...use, lanes: 4 } });
    void names('X', { use: { lanes: 2, threads: 2, canTakeAll: false }, group: 'large' });
    void names('efg', { use: { ...use, lanes: 4 } });
    await clock.advance(200);
    expect(device.places).toEqual(['0:1 a', '1:1 b', '2:1 c', '3:1 d', '0:2 X', '2:1 e', '3:1 f', '0:1 g']);
    expect(device.mostThreads).toBe(4);
  });

  it('give way to an urgent batch of more threads', async () => {
    const { clock, device, names, scheduler } = setup({ threads: 2 });
    void names('stuvwx', bulk);
    await clock.advance(5);
    void names('I', {
      priority: 'interactive',
      group: 'large',
      use: { lanes: 1, threads: 2, canTakeAll: false },
    });
    expect(scheduler.depth).toBe(5);
    await clock.advance(200);
    expect(device.places.slice(0, 5)).toEqual(['0:1 s', '1:1 t', '0:2 I', '0:1 u', '1:1 v']);
  });

  it('share the time of the device: a batch has used its share of the threads', async () => {
    const ran: number[] = [];
    const { clock, names } = setup({ threads: 2, onRan: ({ deviceMs }) => ran.push(deviceMs) });
    void names('ab', { use });
    await clock.advance(50);
    void names('c', { use: { ...use, canTakeAll: true } });
    await clock.advance(50);
    expect(ran).toEqual([5, 5, 5]); // a and b took 10 ms each, side by side; c took 5 ms
  });

  it('report each running batch', async () => {
    const { clock, names, scheduler } = setup({ threads: 2 });
    void names('ab', { use });
    await clock.advance(100);
    void names('c', { use });
    await clock.advance(4);
    void names('d', { use });
    expect(scheduler.running).toEqual([
      { lane: 0, since: 100, expectedMs: expect.closeTo(10) },
      { lane: 1, since: 104, expectedMs: expect.closeTo(10) },
    ]);
  });
});

describe('for arbitrary workloads', () => {
  const asked = fc.record({
    at: fc.integer({ min: 0, max: 300 }),
    job: fc.constantFrom('a', 'b', 'c'),
    priority: fc.constantFrom(...PRIORITIES),
    group: fc.constantFrom('g', 'h'),
    pixels: fc.integer({ min: 10, max: 400 }),
    cancelledAfter: fc.option(fc.integer({ min: 0, max: 100 }), { freq: 4 }),
  });

  /** A device's threads, and what the items of two groups take of it. */
  const machine = fc.integer({ min: 1, max: 6 }).chain((threads) => {
    const use = fc.integer({ min: 1, max: threads }).chain((each) =>
      fc.record({
        lanes: fc.integer({ min: 1, max: Math.floor(threads / each) }),
        threads: fc.constant(each),
        canTakeAll: fc.boolean(),
      }),
    );
    return fc.record({ threads: fc.constant(threads), uses: fc.record({ g: use, h: use }) });
  });

  it('every item settles exactly once, or was cancelled before it started', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(asked, { maxLength: 60 }),
        fc.integer({ min: 1, max: 5 }),
        machine,
        async (all, max, { threads, uses }) => {
          const { clock, device, submit, scheduler } = setup({
            threads,
            maxBatch: () => max,
            maxDelayMs: 3,
            agingMs: 50,
          });
          const ends = new Map<string, string>();
          for (const [i, { at, cancelledAfter, ...rest }] of all.entries()) {
            const name = `${rest.group}${i}`;
            clock.after(at, () => {
              const cancel = new AbortController();
              if (cancelledAfter !== null) clock.after(cancelledAfter, () => cancel.abort(new Error('left')));
              void submit({ name, ...rest, use: uses[rest.group], signal: cancel.signal }).then(
                ({ result }) => ends.set(name, result),
                () => ends.set(name, 'left'),
              );
            });
          }
          await clock.advance(60 * 40 + 1000);
          const begun = device.begun.flat();
          for (const [name, end] of ends) {
            expect(end).toBe(begun.includes(name) ? name.toUpperCase() : 'left');
          }
          expect(ends.size).toBe(all.length);
          expect(new Set(begun).size).toBe(begun.length);
          expect(device.mostInside).toBeLessThanOrEqual(2);
          expect(device.mostThreads).toBeLessThanOrEqual(threads);
          expect(device.misused).toEqual([]);
          for (const batch of device.begun) {
            expect(batch.length).toBeLessThanOrEqual(max);
            expect(new Set(batch.map((name) => name[0])).size).toBe(1);
          }
          expect([scheduler.depth, scheduler.running]).toEqual([0, []]);
        },
      ),
      { numRuns: 200 },
    );
  });

  /** A job that always has items pending. */
  const keepBusy = async (next: () => Promise<Batched<string>>, items: number, until: () => boolean) => {
    const one = async () => {
      while (!until()) await next();
    };
    await Promise.all(Array.from({ length: items }, one));
  };

  it("each job's share of the device is within 10 % of its fair share", async () => {
    // The items of a group have one size: they share batches.
    const job = fc.oneof(
      fc.constantFrom({ group: 'g', pixels: 30 }, { group: 'h', pixels: 170 }),
      fc.record({ group: fc.constant('own'), pixels: fc.integer({ min: 20, max: 400 }) }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(job, { minLength: 2, maxLength: 5 }),
        fc.integer({ min: 1, max: 4 }),
        // Either group can have the whole device: a job that has fewer lanes cannot have its share.
        fc.constantFrom(
          { threads: 1, g: ONE, h: ONE },
          { threads: 2, g: { ...ONE, lanes: 2 }, h: { ...ONE, lanes: 2 } },
          { threads: 2, g: { ...ONE, lanes: 2 }, h: { ...ONE, threads: 2 } },
          { threads: 4, g: { ...ONE, lanes: 4 }, h: { ...ONE, lanes: 2, threads: 2 } },
        ),
        async (jobs, max, { threads, ...uses }) => {
          const { clock, submit } = setup({ threads, maxBatch: () => max, maxDelayMs: 2 });
          const usedMs = jobs.map(() => 0);
          let over = false;
          for (const [i, { pixels, group }] of jobs.entries()) {
            const own = group === 'own';
            const use = uses[own ? 'g' : (group as 'g' | 'h')];
            const asked = { name: 'x', job: `${i}`, group: own ? `${i}` : group, pixels, use };
            const next = async () => {
              const answer = await submit(asked);
              usedMs[i]! += pixels * MS_PER_PX;
              return answer;
            };
            void keepBusy(next, 3 * max * use.lanes, () => over);
          }
          await clock.advance(20_000);
          over = true;
          const due = usedMs.reduce((sum, ms) => sum + ms, 0) / jobs.length;
          for (const ms of usedMs) expect(Math.abs(ms - due) / due).toBeLessThan(0.1);
          await clock.advance(1000);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('an interactive item waits at most for one running batch', async () => {
    const [mostMs, maxDelayMs] = [40, 2];
    const slide = fc.record({
      pixels: fc.integer({ min: 50, max: mostMs / MS_PER_PX }),
      priority: fc.constantFrom('normal' as const, 'bulk' as const),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(slide, { minLength: 1, maxLength: 4 }),
        fc.array(fc.integer({ min: 100, max: 400 }), { minLength: 1, maxLength: 10 }),
        fc.integer({ min: 1, max: 4 }),
        async (slides, pauses, threads) => {
          const { clock, submit } = setup({ threads, maxDelayMs, agingMs: 1e9, maxBatch: () => 1 });
          const use = { lanes: threads, threads: 1, canTakeAll: true };
          let over = false;
          for (const [i, { pixels, priority }] of slides.entries()) {
            const next = () => submit({ name: 's', job: `s${i}`, group: `s${i}`, pixels, priority, use });
            void keepBusy(next, 6, () => over);
          }
          for (const pauseMs of pauses) {
            await clock.advance(pauseMs);
            const small = submit({ name: 'i', job: 'i', pixels: 10, priority: 'interactive', use });
            await clock.advance(mostMs + 10);
            expect((await small).queuedMs).toBeLessThanOrEqual(mostMs + maxDelayMs);
          }
          over = true;
          await clock.advance(5000);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('no item waits longer than its bound, however much urgent work arrives', async () => {
    const [mostMs, leastMs, quantumMs, agingMs, items] = [40, 10, 10, 300, 2];
    const load = fc.record({
      pixels: fc.integer({ min: leastMs / MS_PER_PX, max: mostMs / MS_PER_PX }),
      priority: fc.constantFrom(...PRIORITIES),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(load, { minLength: 2, maxLength: 6 }), async (loads) => {
        const { clock, submit } = setup({ agingMs });
        // Upper bound between two batches led by a waiting class: it ages, the batches on the device
        // run, and the other two classes may have aged before it.
        const gapMs = agingMs + 4 * mostMs;
        // A job's items run in order, and while one accrues its cost, each other job of its class
        // may spend as much, a quantum, and its carried-over credit.
        const most = Math.max(
          ...PRIORITIES.map((p) => loads.filter(({ priority }) => priority === p).length),
        );
        const turns = items * (1 + (most - 1) * Math.ceil((2 * mostMs + quantumMs) / leastMs));
        const longest = { ms: 0 };
        let over = false;
        for (const [i, { pixels, priority }] of loads.entries()) {
          const next = async () => {
            const answer = await submit({ name: 'x', job: `${i}`, group: `${i}`, pixels, priority });
            longest.ms = Math.max(longest.ms, answer.queuedMs);
            return answer;
          };
          void keepBusy(next, items, () => over);
        }
        await clock.advance(turns * gapMs);
        over = true;
        await clock.advance(20 * gapMs * loads.length);
        expect(longest.ms).toBeLessThanOrEqual(turns * gapMs);
        expect(longest.ms).toBeGreaterThan(0);
      }),
      { numRuns: 10 },
    );
  });
});

describe('a lane that is lost', () => {
  const LOST = new Error('lost');
  const TWO: DeviceUse = { lanes: 2, threads: 1, canTakeAll: false };

  /** Two lanes: those in `lost`, and each that computes an item in `poison`, are lost. */
  function twoLanes(options: Partial<SchedulerOptions<Item, string>> = {}) {
    const lost = new Set<number>();
    const poison = new Set<string>();
    /** Lanes that are lost before they get a batch. */
    const dead = new Set<number>();
    const ran: string[] = [];
    const recoveries: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
    const recovery = () => new Promise<void>((resolve, reject) => recoveries.push({ resolve, reject }));
    const { names } = setup({
      threads: 2,
      start: (items, { lane }) => {
        const results = settle().then(() => {
          if (lost.has(lane) || items.some(({ name }) => poison.has(name))) throw LOST;
          ran.push(...items.map(({ name }) => `${lane}${name}`));
          return items.map(({ name }) => name);
        });
        return { results, revoke: () => false };
      },
      recover: (_lane, error) => (error === LOST ? recovery() : null),
      lost: (lane) => (dead.has(lane) ? recovery() : null),
      ...options,
    });
    return {
      lost,
      poison,
      dead,
      ran,
      recoveries,
      names,
      submit: (text: string) => names(text, { use: TWO }),
    };
  }
  const passed = async () => {
    for (let i = 0; i < 20; i++) await settle();
  };

  it('has its items computed by the others, each once', async () => {
    const { lost, ran, submit } = twoLanes();
    lost.add(1);
    const results = await submit('abcdef');
    expect(results.map(({ result }) => result).join('')).toBe('abcdef');
    expect(ran.sort()).toEqual(['0a', '0b', '0c', '0d', '0e', '0f']);
  });

  it('gets batches again once it is recovered', async () => {
    const { lost, ran, recoveries, submit } = twoLanes();
    lost.add(1);
    await submit('abc');
    lost.clear();
    for (const { resolve } of recoveries) resolve();
    await passed();
    await submit('defg');
    expect(ran.some((name) => name.startsWith('1'))).toBe(true);
  });

  it('between batches is given none, and no item is blamed for it', async () => {
    const { lost, ran, dead, recoveries, submit } = twoLanes();
    dead.add(0).add(1);
    const waiting = submit('ab');
    await passed();
    expect([recoveries.length, ran]).toEqual([2, []]);
    dead.clear();
    lost.add(1); // whose item is lost for the first time
    for (const { resolve } of recoveries.splice(0)) resolve();
    expect((await waiting).map(({ result }) => result)).toEqual(['a', 'b']);
  });

  it('is replaced by another one for items that take fewer', async () => {
    const { dead, ran, names } = twoLanes();
    dead.add(0);
    await names('a', { use: { ...TWO, lanes: 1 } });
    expect(ran).toEqual(['1a']);
  });

  it('leaves items waiting where it was the last, until it is recovered', async () => {
    const { lost, ran, recoveries, submit } = twoLanes();
    lost.add(0).add(1);
    const waiting = submit('abcdef');
    await passed();
    expect(ran).toEqual([]);
    lost.clear();
    for (const { resolve } of recoveries) resolve();
    expect((await waiting).map(({ result }) => result).join('')).toBe('abcdef');
  });

  it('rejects an item with which it was lost repeatedly, and no other', async () => {
    const { poison, recoveries, submit } = twoLanes();
    poison.add('c');
    const outcomes = Promise.allSettled([...'abcdef'].map((name) => submit(name)));
    await passed();
    recoveries.splice(0).forEach(({ resolve }) => void resolve());
    await passed();
    const codes = (await outcomes).map((outcome) =>
      outcome.status === 'rejected' ? outcome.reason.code : null,
    );
    expect(codes).toEqual([null, null, 'device-killer', null, null, null]);
  });

  it('while it hung is blamed on what it computed, whatever is submitted until its process has ended', async () => {
    let end = (_: Error) => {};
    let recover = () => {};
    let recovery: Promise<void> | null = null;
    const { names } = twoLanes({
      threads: 1,
      start: (items) => {
        const [{ name }] = items as [Item];
        const hang = () => new Promise<never>((_, reject) => (end = reject));
        return { results: name === 'a' ? hang() : Promise.resolve([name]), revoke: () => false };
      },
      recover: () => recovery,
      lost: () => recovery,
    });
    const use = { lanes: 1, threads: 1, canTakeAll: false };
    const killer = expect(names('a', { use })).rejects.toMatchObject({ code: 'device-killer' });
    const others: Promise<unknown>[] = [];
    for (const other of ['b', 'c']) {
      await passed();
      recovery = new Promise((resolve) => (recover = resolve));
      others.push(names(other, { use }));
      await passed();
      end(LOST);
      await passed();
      recovery = null;
      recover();
    }
    await killer;
    await Promise.all(others);
  });

  it('has the items of its batch computed alone, so that only the one to blame is rejected', async () => {
    const { poison, ran, recoveries, submit } = twoLanes({ maxBatch: () => 3 });
    poison.add('e');
    const outcomes = Promise.allSettled([...'abcdef'].map((name) => submit(name)));
    for (let i = 0; i < 3; i++) {
      await passed();
      recoveries.splice(0).forEach(({ resolve }) => void resolve());
    }
    const rejected = (await outcomes).map(({ status }) => status === 'rejected');
    expect(rejected).toEqual([false, false, false, false, true, false]);
    expect(ran.map((name) => name[1]).sort()).toEqual([...'abcdf']); // each once
  });

  it('rejects all items where none is left, and later ones, too', async () => {
    const { lost, recoveries, submit } = twoLanes();
    lost.add(0).add(1);
    const waiting = submit('abcdef');
    const outcome = expect(waiting).rejects.toThrow('gone');
    await passed();
    for (const { reject } of recoveries) reject(new Error('gone'));
    await outcome;
    await expect(submit('g')).rejects.toThrow('gone');
  });

  it('is reported with the job that it computed where none is left', async () => {
    const reports: (readonly string[])[] = [];
    const { lost, recoveries, names } = twoLanes({ threads: 1, onGone: (jobs) => reports.push(jobs) });
    lost.add(0);
    const jobs = ['running', 'ready', 'waiting'];
    const outcomes = Promise.allSettled(jobs.map((job) => names('a', { job, use: ONE })));
    await passed();
    for (const { reject } of recoveries) reject(new Error('gone'));
    await outcomes;
    expect(reports).toEqual([['running']]);
  });
});
