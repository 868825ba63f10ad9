import type { ScenarioResult } from './drive.js';

const COLUMNS: readonly [title: string, cellOf: (r: ScenarioResult) => string | number][] = [
  ['image', (r) => r.size],
  ['requests', (r) => r.requests],
  ['errors', (r) => r.errors],
  ['wrong masks', (r) => r.wrongMasks],
  ['requests/s', (r) => r.requestsPerSecond],
  ['Mpx/s', (r) => r.megapixelsPerSecond],
  ['p50 ms', (r) => r.p50Ms],
  ['p99 ms', (r) => r.p99Ms],
];

/** Prints the results as a right-aligned table. */
export function printTable(results: readonly ScenarioResult[]): void {
  const rows = [
    COLUMNS.map(([title]) => title),
    ...results.map((r) => COLUMNS.map(([, cellOf]) => String(cellOf(r)))),
  ];
  const widths = COLUMNS.map((_, c) => Math.max(...rows.map((row) => row[c]!.length)));
  for (const row of rows) console.log(row.map((cell, c) => cell.padStart(widths[c]!)).join('  '));
}
