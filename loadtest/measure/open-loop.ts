import type { Arrival } from './arrivals.js';

/** Time in ms, and waiting for it; injected, so that tests need none. */
export interface Clock {
  now(): number;
  /** Resolves at the time, at once if it has passed. */
  until(ms: number): Promise<void>;
}

export const wallClock: Clock = {
  now: () => performance.now(),
  until: (ms) => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms - performance.now()))),
};

/** One request with its times, in ms after the start. */
export interface Timed<Result> {
  readonly result: Result;
  /** When it was to be sent. */
  readonly intendedMs: number;
  /** When it was sent: later where all connections were in use. */
  readonly startedMs: number;
  readonly endedMs: number;
}

/** What a user would have waited: from when the request was to be sent, whatever held it up. */
export const latencyMs = ({ intendedMs, endedMs }: Timed<unknown>): number => endedMs - intendedMs;
/** What a load generator would report that counts from when it got round to sending: it hides the queue. */
export const serviceMs = ({ startedMs, endedMs }: Timed<unknown>): number => endedMs - startedMs;

/**
 * Sends each item at its time, whether or not earlier ones have been answered: the server's delays do not slow the
 * arrivals down (an open loop, without coordinated omission). Where all connections are in use, an item waits for one,
 * and its latency includes that.
 * @param send must not reject: a failure is a result
 */
export async function sendOnSchedule<Item, Result>(
  arrivals: readonly Arrival<Item>[],
  connections: number,
  clock: Clock,
  send: (item: Item) => Promise<Result>,
): Promise<Timed<Result>[]> {
  const origin = clock.now();
  const sinceStart = () => clock.now() - origin;
  const sent: Timed<Result>[] = [];
  const inFlight = new Set<Promise<void>>();
  for (const { atMs, item } of arrivals) {
    await clock.until(origin + atMs);
    while (inFlight.size >= connections) await Promise.race(inFlight);
    const startedMs = sinceStart();
    const sending = send(item).then((result) => {
      sent.push({ result, intendedMs: atMs, startedMs, endedMs: sinceStart() });
      inFlight.delete(sending);
    });
    inFlight.add(sending);
  }
  await Promise.all(inFlight);
  return sent;
}
