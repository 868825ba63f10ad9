/** What a benchmark measured, the limits that it is held to, and whether they hold. */
export interface BenchResult {
  readonly holds: boolean;
  readonly limits: Readonly<Record<string, number>>;
  readonly [figure: string]: unknown;
}

/** Runs with a function that tells a person how far it is. */
export type Bench = (say: (line: string) => void) => Promise<BenchResult>;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * Times several things in turn, A B C A B C …, so that a machine whose speed drifts is fair to all.
 * @returns the median of each, in ms
 */
export async function medians<Name extends string>(
  runs: number,
  things: Readonly<Record<Name, () => Promise<unknown>>>,
): Promise<Record<Name, number>> {
  const names = Object.keys(things) as Name[];
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let i = -1; i < runs; i++) {
    for (const name of names) {
      const started = performance.now();
      await things[name]();
      if (i >= 0) times[name].push(performance.now() - started); // the first round warms up
    }
  }
  return Object.fromEntries(names.map((name) => [name, median(times[name])])) as Record<Name, number>;
}
