/** What a benchmark measured, the limits it has to meet, and whether it met them all. */
export interface BenchResult {
  readonly holds: boolean;
  readonly limits: Readonly<Record<string, number>>;
  readonly [figure: string]: unknown;
}

/** Values of the options that a benchmark declares. */
export type BenchOptions = Readonly<Record<string, string | boolean | undefined>>;

/** A benchmark; it reports progress one line at a time through `log`. */
export type Bench = (log: (line: string) => void, options: BenchOptions) => Promise<BenchResult>;

/** The module of a benchmark. `options` are what its command line takes beside `--json`. */
export interface BenchModule {
  readonly bench: Bench;
  readonly options?: Readonly<Record<string, { readonly type: 'string'; readonly default: string }>>;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * Times several tasks in turn, A B C A B C …, so that a drift in the machine's speed affects all of them alike.
 * @returns the median time of each task, in ms
 */
export async function medians<Name extends string>(
  runs: number,
  tasks: Readonly<Record<Name, () => Promise<unknown>>>,
): Promise<Record<Name, number>> {
  const names = Object.keys(tasks) as Name[];
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let i = -1; i < runs; i++) {
    for (const name of names) {
      const started = performance.now();
      await tasks[name]();
      if (i >= 0) times[name].push(performance.now() - started); // the first round warms up
    }
  }
  return Object.fromEntries(names.map((name) => [name, median(times[name])])) as Record<Name, number>;
}
