/** One line of Prometheus's text format. */
interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What `/metrics` said at one moment (Prometheus's text format, version 0.0.4). */
export class Exposition {
  readonly #series: readonly Series[];

  constructor(text: string) {
    this.#series = text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map(parseLine);
  }

  /** Every series of a metric. */
  all(name: string): readonly Series[] {
    return this.#series.filter((each) => each.name === name);
  }

  /** Whether there is such a metric. */
  has(name: string): boolean {
    return this.#series.some((each) => each.name === name);
  }

  /** The sum of all series of a metric that have these labels; 0 where there is none. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return this.all(name)
      .filter((each) => Object.entries(labels).every(([label, value]) => each.labels[label] === value))
      .reduce((total, { value }) => total + value, 0);
  }

  /** The sums of a metric by the values of one label. */
  by(name: string, label: string): Map<string, number> {
    const sums = new Map<string, number>();
    for (const { labels, value } of this.all(name)) {
      const key = labels[label] ?? '';
      sums.set(key, (sums.get(key) ?? 0) + value);
    }
    return sums;
  }
}

/** How much each value has grown, without those that have not. */
export function growth(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>) {
  const grown = new Map<string, number>();
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    const difference = (after.get(key) ?? 0) - (before.get(key) ?? 0);
    if (difference !== 0) grown.set(key, difference);
  }
  return grown;
}

const LINE = /^(?<name>[a-zA-Z_:][\w:]*)(?:\{(?<labels>.*)\})? (?<value>\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

function parseLine(line: string): Series {
  const { name, labels = '', value } = LINE.exec(line)?.groups ?? {};
  if (name === undefined)
    throw new Error(`/metrics has a line that is not Prometheus's text format: ${line}`);
  const pairs = [...labels.matchAll(LABEL)].map(([, label, text]) => [label!, unescapeLabel(text!)] as const);
  return { name, labels: Object.fromEntries(pairs), value: Number(value!.replace('Inf', 'Infinity')) };
}

const unescapeLabel = (text: string): string =>
  text.replace(/\\(.)/g, (_, each: string) => (each === 'n' ? '\n' : each));
