import type { Report } from './report.js';

/** A report for a terminal. */
export function reportText(report: Report): string {
  const groups = [...report.groups, ...report.sizes].map(({ name, requests, right, latencyMs, slowdown }) => [
    name,
    requests,
    right,
    ...[latencyMs.p50, latencyMs.p95, latencyMs.p99].map(Math.round),
    slowdown.p50.toFixed(2),
    slowdown.p95.toFixed(2),
  ]);
  const head = ['', 'requests', 'right', 'p50 ms', 'p95 ms', 'p99 ms', 'p50 / alone', 'p95 / alone'];
  const differences = report.reconciled.filter(({ agrees }) => !agrees);
  const failures = [
    ...report.problems,
    ...differences.map(({ what, client, server }) => `${what}: client ${client}, /metrics ${server}`),
    ...report.thresholds
      .filter(({ holds }) => !holds)
      .map(({ what, value, bound }) => `${what} is ${value}: ${bound} is required`),
    ...report.baseline
      .filter(({ holds }) => !holds)
      .map(({ what, value, baseline }) => `${what} is ${value}, and was ${baseline} in the baseline`),
  ];
  const agreement = report.metricsAgree ? 'equal' : 'not equal';
  const summary =
    `${report.errors} errors, ${report.wrongMasks} wrong masks, ${report.lost} lost; ` +
    `counts ${agreement} to /metrics; ${report.holds ? 'all limits met' : 'FAILED'}`;
  return [tableText([head, ...groups]), ...failures, summary].join('\n');
}

/** Rows with right-aligned columns. */
function tableText(rows: readonly (readonly (string | number)[])[]): string {
  const widths = rows[0]!.map((_, c) => Math.max(...rows.map((row) => String(row[c]).length)));
  return rows.map((row) => row.map((cell, c) => String(cell).padStart(widths[c]!)).join('  ')).join('\n');
}
