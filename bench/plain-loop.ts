import type { LaneUse } from '../model/compute-choice.js';

/** A lane of an engine, and the threads that it takes. */
export interface Lane {
  readonly lane: number;
  readonly threads: number;
}

/** Does tasks 0 to `count` - 1, one after the other in each of this many loops. */
export async function inLoops(
  loops: number,
  count: number,
  task: (i: number, loop: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const run = async (loop: number) => {
    while (next < count) await task(next++, loop);
  };
  await Promise.all(Array.from({ length: loops }, (_, loop) => run(loop)));
}

/** Does tasks 0 to `count` - 1 in lanes, as a plain loop does: each lane has one that runs, and one behind it. */
export const inLanes = (
  { lanes, threads }: LaneUse,
  count: number,
  task: (i: number, lane: Lane) => Promise<void>,
): Promise<void> => inLoops(2 * lanes, count, (i, loop) => task(i, { lane: loop % lanes, threads }));
