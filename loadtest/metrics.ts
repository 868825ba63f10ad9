import type { ScenarioResult } from './drive.js';

/** The server's counters: responses with status 200, and pixels segmented. */
export interface Counts {
  readonly requests: number;
  readonly pixels: number;
}

/** Reads the counters until two consecutive readings agree, so that they include the warm-up. */
export async function settledMetrics(url: string): Promise<Counts> {
  for (let last = await readMetrics(url); ; ) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    const counts = await readMetrics(url);
    if (counts.requests === last.requests && counts.pixels === last.pixels) return counts;
    last = counts;
  }
}

async function readMetrics(url: string): Promise<Counts> {
  const response = await fetch(`${url}/metrics`);
  const lines = (await response.text()).split('\n');
  const sum = (name: string, ...labels: string[]): number =>
    lines
      .filter((line) => line.startsWith(`${name}{`) && labels.every((label) => line.includes(label)))
      .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(' '))), 0);
  return {
    requests: sum('unseam_http_request_duration_seconds_count', 'route="/v1/segment"', 'status="200"'),
    pixels: sum('unseam_pixels_total'),
  };
}

/** How long to wait for the counters: a request is counted once its last byte is sent, just after the client has it. */
const SETTLE_MS = 2000;
const POLL_MS = 50;

/**
 * Compares the server's counters with what the client counted.
 * @returns a message for each difference; empty if they agree
 */
export async function reconcile(
  url: string,
  before: Counts,
  results: readonly ScenarioResult[],
): Promise<string[]> {
  for (const started = performance.now(); ; ) {
    const differences = compare(before, await readMetrics(url), results);
    if (differences.length === 0 || performance.now() - started > SETTLE_MS) return differences;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Why a server may count less. */
const HINT = ': was the server started with --no-cache?';

function compare(before: Counts, after: Counts, results: readonly ScenarioResult[]): string[] {
  const expected: Counts = {
    requests: results.reduce((sum, { ok }) => sum + ok, 0),
    pixels: results.reduce((sum, { pixels }) => sum + pixels, 0),
  };
  return (['requests', 'pixels'] as const).flatMap((what) => {
    const counted = after[what] - before[what];
    if (counted === expected[what]) return [];
    const hint = counted < expected[what] ? HINT : '';
    return [`/metrics counted ${counted} ${what}, the client ${expected[what]}${hint}`];
  });
}
