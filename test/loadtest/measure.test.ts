import { describe, expect, it } from 'vitest';
import { drawArrivals } from '../../loadtest/measure/arrivals.js';
import { type Clock, latencyMs, sendOnSchedule, serviceMs } from '../../loadtest/measure/open-loop.js';
import { distributionOf, histogramOf, median, percentile } from '../../loadtest/measure/percentiles.js';
import { Random } from '../../loadtest/measure/random.js';

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

describe('a percentile', () => {
  it('is the smallest value that this share does not exceed', () => {
    expect(percentile(upTo(100), 0.95)).toBe(95);
    expect(percentile(upTo(100), 0.999)).toBe(100);
    expect(percentile([1, 2, 3], 0.5)).toBe(2);
    expect(percentile([7], 0.01)).toBe(7);
    expect(percentile([], 0.5)).toBe(0);
  });

  it('is not moved by how a share is written in binary', () => {
    for (const count of upTo(300)) {
      for (const percent of [50, 90, 95, 99]) {
        expect(percentile(upTo(count), percent / 100)).toBe(Math.ceil((percent * count) / 100));
      }
    }
  });

  it('does not depend on the order of the values', () => {
    const values = new Random(1).shuffle(upTo(1000));
    expect(distributionOf(values)).toEqual({
      count: 1000,
      mean: 500.5,
      p50: 500,
      p90: 900,
      p95: 950,
      p99: 990,
      max: 1000,
    });
    expect(median(values)).toBe(500.5);
  });
});

describe('a histogram', () => {
  it('has every value in the bar that it belongs to', () => {
    const random = new Random(2);
    const values = upTo(500).map(() => 10 ** (4 * random.next()));
    const bars = histogramOf(values);
    for (const { from, to, count } of bars)
      expect(values.filter((value) => value >= from && value < to)).toHaveLength(count);
    expect(bars.reduce((sum, { count }) => sum + count, 0)).toBe(500);
    expect(histogramOf([])).toEqual([]);
  });
});

describe('arrivals', () => {
  it('come at the rate, independently of each other', () => {
    const arrivals = drawArrivals(new Random(3), 10, 2000, () => 'image');
    expect(arrivals.length / 2000).toBeCloseTo(10, 0);
    const gaps = arrivals.slice(1).map(({ atMs }, i) => atMs - arrivals[i]!.atMs);
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length;
    expect(Math.sqrt(variance) / mean).toBeCloseTo(1, 1); // of an exponential distribution; 0 for a fixed gap
  });

  it('are the same for a seed', () => {
    const draw = (seed: number) => drawArrivals(new Random(seed), 5, 10, () => null);
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });
});

/** A clock that jumps to whatever is waited for next, once nothing else can run. */
class FakeClock implements Clock {
  #nowMs = 0;
  readonly #waiting: { readonly atMs: number; readonly resolve: () => void }[] = [];

  now = () => this.#nowMs;

  until(atMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ atMs, resolve });
      this.#waiting.sort((a, b) => a.atMs - b.atMs);
      setImmediate(() => this.#advance());
    });
  }

  #advance(): void {
    const next = this.#waiting.shift();
    if (!next) return;
    this.#nowMs = Math.max(this.#nowMs, next.atMs);
    next.resolve();
  }
}

describe('an open loop', () => {
  const everyTenMs = upTo(100).map((i) => ({ atMs: i * 10, item: i }));

  it('sends at the intended times, whatever the server does', async () => {
    const clock = new FakeClock();
    const sent = await sendOnSchedule(everyTenMs, 1000, clock, () => clock.until(clock.now() + 5000));
    expect(sent.map(({ startedMs }) => startedMs)).toEqual(everyTenMs.map(({ atMs }) => atMs));
    expect(sent.map(latencyMs)).toEqual(everyTenMs.map(() => 5000));
  });

  it('counts the wait for a connection, which the time from sending hides', async () => {
    // A server of one connection takes 1 ms for each request, but 500 ms for the tenth.
    const clock = new FakeClock();
    const sent = await sendOnSchedule(everyTenMs, 1, clock, (i) =>
      clock.until(clock.now() + (i === 10 ? 500 : 1)),
    );
    const hidden = distributionOf(sent.map(serviceMs));
    const true_ = distributionOf(sent.map(latencyMs));
    expect(hidden).toMatchObject({ p50: 1, p95: 1, p99: 1, max: 500 });
    // Requests 11, 12, 13 … were to be sent 10, 20, 30 … ms after the tenth: they waited 490, 481, 472 … ms and took one more.
    const late = sent.filter(({ result: _, ...times }) => latencyMs({ result: null, ...times }) > 1);
    expect(late.map(latencyMs).slice(0, 4)).toEqual([500, 491, 482, 473]);
    expect(late).toHaveLength(1 + Math.ceil(490 / 9));
    expect(true_.p95).toBeGreaterThan(400);
  });

  it('has as many in flight as there are connections, at most', async () => {
    const clock = new FakeClock();
    let [inFlight, most] = [0, 0];
    await sendOnSchedule(everyTenMs, 4, clock, async () => {
      most = Math.max(most, ++inFlight);
      await clock.until(clock.now() + 100);
      inFlight--;
    });
    expect(most).toBe(4);
  });
});
