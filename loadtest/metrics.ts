import type { ScenarioResult } from './drive.js';

/** What the server counted: requests answered with 200, and pixels of masks. */
export interface Counts {
  readonly requests: number;
  readonly pixels: number;
}

export async function readMetrics(url: string): Promise<Counts> {
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

/** Where the server's own counts differ from what its client saw; empty where they agree. */
export function reconcile(before: Counts, after: Counts, results: readonly ScenarioResult[]): string[] {
  const seen: Counts = {
    requests: results.reduce((sum, { ok }) => sum + ok, 0),
    pixels: results.reduce((sum, { pixels }) => sum + pixels, 0),
  };
  return (['requests', 'pixels'] as const).flatMap((what) => {
    const counted = after[what] - before[what];
    return counted === seen[what] ? [] : [`/metrics counted ${counted} ${what}, the client ${seen[what]}`];
  });
}
