import type { ScenarioResult } from './drive.js';

/** What the server counted: requests answered with 200, and pixels of masks. */
export interface Counts {
  readonly requests: number;
  readonly pixels: number;
}

/** The counts once two readings in a row agree: those of the warm-up are in them. */
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

/** A server counts a request when its connection has taken the last byte: a moment after the client. */
const SETTLE_MS = 2000;
const POLL_MS = 50;

/** Where the server's own counts differ from what its client saw; empty where they agree. */
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

function compare(before: Counts, after: Counts, results: readonly ScenarioResult[]): string[] {
  const seen: Counts = {
    requests: results.reduce((sum, { ok }) => sum + ok, 0),
    pixels: results.reduce((sum, { pixels }) => sum + pixels, 0),
  };
  return (['requests', 'pixels'] as const).flatMap((what) => {
    const counted = after[what] - before[what];
    return counted === seen[what] ? [] : [`/metrics counted ${counted} ${what}, the client ${seen[what]}`];
  });
}
