import type { LaneUse } from '../model/compute-choice.js';

/** A lane of an engine, and the threads that it takes. */
export interface Lane {
  readonly lane: number;
  readonly threads: number;
}

/** Does tasks 0 to `count` - 1 in lanes, as a plain loop does: each lane has one that runs, and one behind it. */
export async function inLanes(
  { lanes, threads }: Pick<LaneUse, 'lanes' | 'threads'>,
  count: number,
  task: (i: number, lane: Lane) => Promise<void>,
): Promise<void> {
  let next = 0;
  const loop = async (lane: number) => {
    while (next < count) await task(next++, { lane, threads });
  };
  await Promise.all(Array.from({ length: 2 * lanes }, (_, i) => loop(i % lanes)));
}
