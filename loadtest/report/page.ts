import { histogramChart, millis, percent, shareChart } from './charts.js';
import { escapeHtml } from './escape.js';
import type { Report } from './report.js';
import { STYLE } from './style.js';

type Cell = string | number | boolean;

/** A report as one HTML file, which loads nothing. */
export function reportPage(report: Report): string {
  const { scenario, about, groups, sizes, stagesS, thresholds, baseline, reconciled, trends, holds } = report;
  const times = [...groups, ...sizes].map(({ name, requests, right, latencyMs, slowdown }) => [
    name,
    requests,
    right,
    ...[latencyMs.p50, latencyMs.p90, latencyMs.p95, latencyMs.p99, latencyMs.max].map(millis),
    slowdown.p50.toFixed(2),
    slowdown.p95.toFixed(2),
  ]);
  const sections = [
    `<h1>Load test: ${escapeHtml(scenario)}</h1><p>${escapeHtml(about)}</p>`,
    `<p class="verdict ${holds ? 'good' : 'bad'}">${holds ? 'All limits met' : 'Failed'}: ${summary(report)}</p>`,
    list(report.problems),
    '<h2>Latency</h2><p>From when a request was to be sent to its mask, whatever held it up.</p>',
    ...groups.map(
      ({ name, histogram, latencyMs }) =>
        `<figure><figcaption>${escapeHtml(name)}</figcaption>${histogramChart(`Latency of ${name}`, histogram, latencyMs)}</figure>`,
    ),
    table(
      'Latencies, and how many times as long as alone',
      ['', 'requests', 'right', 'p50', 'p90', 'p95', 'p99', 'max', 'p50 / alone', 'p95 / alone'],
      times,
    ),
    '<h2>Stages</h2><p>Time in each stage, summed over all tiles and images; those of different tiles overlap. ' +
      `The device computed for ${percent(report.deviceBusy)} of the time.</p>`,
    `<figure>${shareChart('Shares of the stages', stagesS)}</figure>`,
    '<h2>Limits</h2>',
    table(
      'Ratios and their limits',
      ['', 'measured', 'limit', 'met'],
      thresholds.map((each) => [each.what, each.value, each.bound, each.holds]),
    ),
    baseline.length === 0
      ? '<p>Compared with no baseline.</p>'
      : table(
          'Ratios and the baseline',
          ['', 'measured', 'baseline', 'measured / baseline', 'met'],
          baseline.map((each) => [each.what, each.value, each.baseline, each.ratio, each.holds]),
        ),
    Object.keys(trends).length === 0
      ? ''
      : table(
          'Change an hour, and its interval',
          ['', 'median', 'an hour', 'from', 'to', 'noise'],
          Object.entries(trends).map(([name, each]) => [
            name,
            each.median,
            each.perHour,
            each.perHourLow,
            each.perHourHigh,
            each.noise,
          ]),
        ),
    '<h2>Counts</h2>',
    table(
      'What the client counted, and how much /metrics has grown',
      ['', 'client', '/metrics', 'equal'],
      reconciled.map(({ what, client, server, agrees }) => [what, client, server, agrees]),
    ),
    table('Responses', ['status', 'responses'], Object.entries(report.statuses)),
    '<h2>Circumstances</h2>',
    table(
      '',
      ['', ''],
      [
        ['model', report.model],
        ['seed', report.seed],
        ['processor', `${report.machine.cores} × ${report.machine.cpu}`],
        ['Node.js', report.machine.node],
        ['Mpx/s, one connection', report.alone.megapixelsPerSecond],
        ['Mpx/s, several connections', report.alone.megapixelsPerSecondOverSeveralConnections],
        ...Object.entries(report.facts),
        ...Object.entries(report.alone.timesMs).map(([name, ms]) => [`${name} alone`, millis(ms)]),
      ],
    ),
  ];
  return (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">' +
    '<meta name="viewport" content="width=device-width, initial-scale=1">' +
    '<meta name="color-scheme" content="light dark">' +
    `<title>Load test: ${escapeHtml(scenario)}</title><style>${STYLE}</style></head>` +
    `<body><main>\n${sections.filter(Boolean).join('\n')}\n</main></body></html>\n`
  );
}

function summary({ errors, wrongMasks, lost, metricsAgree }: Report): string {
  const counts = metricsAgree ? 'counts equal to /metrics' : 'counts not equal to /metrics';
  return `${errors} errors, ${wrongMasks} wrong masks, ${lost} lost, ${counts}.`;
}

const list = (items: readonly string[]): string =>
  items.length === 0 ? '' : `<ul>${items.map((item) => `<li>${escapeHtml(item)}</li>`).join('')}</ul>`;

/** A table whose first column names the rows. */
function table(caption: string, head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const title = caption === '' ? '' : `<caption>${escapeHtml(caption)}</caption>`;
  const header = head.some((cell) => cell !== '')
    ? `<thead><tr>${head.map((cell) => `<th scope="col">${escapeHtml(cell)}</th>`).join('')}</tr></thead>`
    : '';
  const body = rows.map(
    ([first, ...rest]) =>
      `<tr><th scope="row">${escapeHtml(String(first))}</th>${rest.map((cell) => `<td>${cellHtml(cell)}</td>`).join('')}</tr>`,
  );
  return `<div class="table"><table>${title}${header}<tbody>${body.join('')}</tbody></table></div>`;
}

function cellHtml(cell: Cell): string {
  if (typeof cell === 'boolean') return cell ? 'yes' : '<strong class="bad">no</strong>';
  return escapeHtml(
    typeof cell === 'number' ? cell.toLocaleString('en', { maximumFractionDigits: 3 }) : cell,
  );
}
