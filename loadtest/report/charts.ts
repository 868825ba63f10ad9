import type { Bar, Distribution } from '../measure/percentiles.js';
import { escapeHtml } from './escape.js';

const WIDTH = 720;
/** The bars are below the rows of labels. */
const PLOT = { left: 44, right: 700, top: 52, bottom: 212, height: 236 } as const;
const LABEL_ROW_PX = 15;

/** Latencies as bars on a logarithmic axis, with lines at three percentiles. SVG text in the page's colours. */
export function histogramChart(title: string, bars: readonly Bar[], { p50, p95, p99 }: Distribution): string {
  if (bars.length === 0) return '<p>No request succeeded.</p>';
  const low = Math.log10(bars[0]!.from);
  const high = Math.log10(bars.at(-1)!.to);
  const x = (ms: number) => PLOT.left + ((Math.log10(ms) - low) / (high - low)) * (PLOT.right - PLOT.left);
  const most = Math.max(...bars.map(({ count }) => count));
  const y = (count: number) => PLOT.bottom - (count / most) * (PLOT.bottom - PLOT.top);
  const rects = bars.map(({ from, to, count }) => {
    const [left, right] = [x(from), x(to)];
    const words = `${millis(from)} to ${millis(to)}: ${count}`;
    return `<rect class="bar" x="${round(left + 1)}" y="${round(y(count))}" width="${round(right - left - 2)}" height="${round(PLOT.bottom - y(count))}"><title>${words}</title></rect>`;
  });
  const ticks = ticksBetween(10 ** low, 10 ** high).map(
    (ms) =>
      `<line class="tick" x1="${round(x(ms))}" x2="${round(x(ms))}" y1="${PLOT.bottom}" y2="${PLOT.bottom + 5}"/>` +
      `<text x="${round(x(ms))}" y="${PLOT.bottom + 19}" text-anchor="middle">${millis(ms)}</text>`,
  );
  const lines = Object.entries({ p50, p95, p99 }).map(([name, ms], row) => {
    const at = Math.min(PLOT.right, Math.max(PLOT.left, x(ms)));
    const labelY = 12 + row * LABEL_ROW_PX;
    const anchor = at > PLOT.right - 90 ? 'end' : 'start';
    const dx = anchor === 'end' ? -4 : 4;
    return (
      `<line class="mark" x1="${round(at)}" x2="${round(at)}" y1="${labelY - 9}" y2="${PLOT.bottom}"/>` +
      `<text class="label" x="${round(at + dx)}" y="${labelY}" text-anchor="${anchor}">${name} ${millis(ms)}</text>`
    );
  });
  const axis =
    `<line class="axis" x1="${PLOT.left}" x2="${PLOT.right}" y1="${PLOT.bottom}" y2="${PLOT.bottom}"/>` +
    `<text x="${PLOT.left - 6}" y="${round(y(most) + 4)}" text-anchor="end">${most}</text>` +
    `<text x="${PLOT.left - 6}" y="${PLOT.bottom}" text-anchor="end">0</text>`;
  const about = `${title}: half within ${millis(p50)}, 95 % within ${millis(p95)}, 99 % within ${millis(p99)}`;
  return svg(PLOT.height, about, [axis, ...rects, ...ticks, ...lines].join(''));
}

/** Shares of a whole as one bar, with a legend. */
export function shareChart(title: string, parts: Readonly<Record<string, number>>): string {
  const total = Object.values(parts).reduce((sum, value) => sum + value, 0);
  if (total === 0) return '<p>The server reports no stages.</p>';
  let left = 0;
  const pieces = Object.entries(parts).map(([name, value], i) => {
    const width = (value / total) * WIDTH;
    const words = `${name}: ${percent(value / total)}`;
    const rect = `<rect class="part${i}" x="${round(left)}" y="4" width="${round(width)}" height="34"><title>${words}</title></rect>`;
    const legend =
      `<rect class="part${i}" x="${i * 120}" y="52" width="12" height="12" rx="2"/>` +
      `<text x="${i * 120 + 18}" y="62">${escapeHtml(name)} ${percent(value / total)}</text>`;
    left += width;
    return rect + legend;
  });
  const about = Object.entries(parts).map(([name, value]) => `${name} ${percent(value / total)}`);
  return svg(74, `${title}: ${about.join(', ')}`, pieces.join(''));
}

const svg = (height: number, about: string, content: string): string =>
  `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeHtml(about)}">${content}</svg>`;

/** Round times within a range: of 1, 2, 5 in each power of ten, or the powers alone where that is enough. */
function ticksBetween(low: number, high: number): number[] {
  const steps = high / low > 300 ? [1] : [1, 2, 5];
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
    for (const step of steps) ticks.push(Number((step * 10 ** power).toPrecision(3)));
  return ticks.filter((tick) => tick >= low && tick <= high);
}

/** Milliseconds for people: `840 ms`, `1.2 s`. */
export function millis(ms: number): string {
  if (ms >= 9950) return `${Math.round(ms / 1000)} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(1).replace('.0', '')} s`;
  return `${ms < 10 ? Number(ms.toFixed(1)) : Math.round(ms)} ms`;
}

export const percent = (share: number): string => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
const round = (px: number): number => Number(Math.max(0, px).toFixed(1));
