/** One line of a chart. */
export interface Series {
  readonly name: string;
  /** Any CSS colour. */
  readonly colour: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Draws a thin, pale line without dots. Default false. */
  readonly faint?: boolean;
}

export interface Chart {
  readonly title: string;
  readonly xLabel: string;
  readonly series: readonly Series[];
  /** Whether the x axis is logarithmic. Default false. */
  readonly logX?: boolean;
  /** Cuts the y axis at this multiple of the median, so that outliers do not flatten the rest; such as 8. Default none. */
  readonly cutAbove?: number;
  /** A vertical line with a label. */
  readonly mark?: { readonly x: number; readonly text: string };
}

const WIDTH = 640;
const HEIGHT = 260;
const LEFT = 56;
const RIGHT = 16;
const TOP = 34;
const BOTTOM = 40;
/** Longer series are averaged down to this many points. */
const MAX_POINTS = 600;
/** A series of more points has no dots. */
const MAX_DOTS = 40;

/** Draws charts into one self-contained SVG, `columns` in a row. */
export function chartsSvg(charts: readonly Chart[], columns = 1): string {
  const width = columns * WIDTH;
  const height = Math.ceil(charts.length / columns) * HEIGHT;
  const body = charts.map((chart, i) => {
    const [x, y] = [(i % columns) * WIDTH, Math.floor(i / columns) * HEIGHT];
    return `<g transform="translate(${x} ${y})">${chartBody(chart)}</g>`;
  });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
    `font-family="system-ui, sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="#fff"/>\n` +
    `${body.join('\n')}\n</svg>\n`
  );
}

function chartBody(chart: Chart): string {
  const { title, xLabel, series, mark } = chart;
  const heading = `<text x="${LEFT}" y="20" font-weight="600">${escapeXml(title)}</text>`;
  const points = series.flatMap((one) => finiteOf(one.points));
  if (points.length === 0) return `${heading}<text x="${LEFT}" y="60" fill="#777">no data</text>`;
  const axes = axesOf(points, chart);
  const label = `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle" fill="#555">${escapeXml(xLabel)}</text>`;
  const lines = series.map((one) => lineSvg(one, axes));
  return [
    heading,
    ...legendOf(series),
    ...gridOf(axes),
    label,
    ...lines,
    mark ? markSvg(mark, axes) : '',
  ].join('\n');
}

type Point = readonly [x: number, y: number];

const finiteOf = (points: readonly Point[]): Point[] =>
  points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));

/** Ticks, and where values lie in the chart, in px. */
interface Axes {
  readonly xTicks: readonly number[];
  readonly yTicks: readonly number[];
  readonly px: (x: number) => number;
  readonly py: (y: number) => number;
}

function axesOf(points: readonly Point[], { logX = false, cutAbove }: Chart): Axes {
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y).sort((a, b) => a - b);
  const limit = cutAbove === undefined ? Number.POSITIVE_INFINITY : ys[ys.length >> 1]! * cutAbove;
  const yTicks = ticks(
    ys.filter((y) => y <= limit),
    5,
  );
  const scale = logX ? Math.log10 : (x: number) => x;
  const [x0, x1] = extentOf(xs.map(scale));
  const [y0, y1] = [yTicks[0]!, yTicks.at(-1)!];
  const isInside = (x: number) => scale(x) >= x0 - 1e-9 && scale(x) <= x1 + 1e-9;
  return {
    xTicks: (logX ? decades(xs) : ticks(xs, 8)).filter(isInside),
    yTicks,
    px: (x) => LEFT + ((scale(x) - x0) / (x1 - x0 || 1)) * (WIDTH - LEFT - RIGHT),
    py: (y) => HEIGHT - BOTTOM - ((Math.min(y, y1) - y0) / (y1 - y0 || 1)) * (HEIGHT - TOP - BOTTOM),
  };
}

const at = (n: number): string => n.toFixed(1);

/** Horizontal grid lines and the labels of both axes. */
function gridOf({ xTicks, yTicks, px, py }: Axes): string[] {
  const rows = yTicks.map(
    (y) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at(py(y))}" y2="${at(py(y))}" stroke="#e5e5e5"/>` +
      `<text x="${LEFT - 6}" y="${at(py(y) + 4)}" text-anchor="end" fill="#555">${short(y)}</text>`,
  );
  const columns = xTicks.map(
    (x) =>
      `<text x="${at(px(x))}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle" fill="#555">${short(x)}</text>`,
  );
  return [...rows, ...columns];
}

/** A line, with dots if it has few points. */
function lineSvg({ points, colour, faint }: Series, { px, py }: Axes): string {
  const drawn = downsample(finiteOf(points)).map(([x, y]) => [at(px(x)), at(py(y))] as const);
  const path = drawn.map(([x, y]) => `${x},${y}`).join(' ');
  const stroke = faint ? 'stroke-width="1" opacity="0.35"' : 'stroke-width="2"';
  const dots = drawn.length > MAX_DOTS || faint ? '' : dotsAt(drawn, colour);
  return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-linejoin="round" ${stroke}/>${dots}`;
}

/** Names of the series, right-aligned. */
function legendOf(series: readonly Series[]): string[] {
  let x = WIDTH - RIGHT;
  return [...series].reverse().map(({ name, colour }) => {
    x -= name.length * 7 + 24;
    return `<rect x="${x}" y="11" width="12" height="4" fill="${colour}"/><text x="${x + 17}" y="17" fill="#333">${escapeXml(name)}</text>`;
  });
}

function markSvg({ x, text }: NonNullable<Chart['mark']>, { px }: Axes): string {
  const isAtRight = px(x) > WIDTH - 160;
  return (
    `<line x1="${at(px(x))}" x2="${at(px(x))}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" stroke="#333" stroke-dasharray="4 3"/>` +
    `<text x="${at(px(x) + (isAtRight ? -5 : 5))}" y="${TOP + 10}" ` +
    `text-anchor="${isAtRight ? 'end' : 'start'}" fill="#333">${escapeXml(text)}</text>`
  );
}

const dotsAt = (places: readonly (readonly [string, string])[], colour: string): string =>
  places.map(([x, y]) => `<circle cx="${x}" cy="${y}" r="2.5" fill="${colour}"/>`).join('');

/** About `count` ticks that enclose the values, 1, 2 or 5 times a power of ten apart. */
function ticks(values: readonly number[], count: number): number[] {
  const [low, high] = extentOf(values);
  const raw = (high - low || Math.abs(high) || 1) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 5, 10].find((n) => n * power >= raw) ?? 10) * power;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

function decades(values: readonly number[]): number[] {
  const [least, greatest] = extentOf(values);
  const [low, high] = [Math.floor(Math.log10(least)), Math.ceil(Math.log10(greatest))];
  return Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
}

/** The minimum and the maximum. Not by `Math.min`: a long training has more steps than a call takes arguments. */
function extentOf(values: readonly number[]): [least: number, greatest: number] {
  let [least, greatest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  }
  return [least, greatest];
}

/** At most `MAX_POINTS` points: the means of runs of points. */
function downsample(points: readonly (readonly [number, number])[]): (readonly [number, number])[] {
  const run = Math.ceil(points.length / MAX_POINTS);
  if (run <= 1) return [...points];
  return Array.from({ length: Math.ceil(points.length / run) }, (_, i) => {
    const part = points.slice(i * run, (i + 1) * run);
    return [part.at(-1)![0], part.reduce((sum, [, y]) => sum + y, 0) / part.length] as const;
  });
}

function short(n: number): string {
  const size = Math.abs(n);
  return size !== 0 && (size < 1e-3 || size >= 1e5)
    ? n.toExponential(0).replace('+', '')
    : String(Number(n.toPrecision(4)));
}

/** Escapes text for XML and HTML, in elements and attributes. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
