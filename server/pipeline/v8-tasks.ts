import { setFlagsFromString } from 'node:v8';

/** How much the heap may grow between two collections, in percent of what the last one left: V8's own maximum. */
const GROWTH_PERCENT = 300;
/** How much of a function has to run before V8 optimises it, in bytes of its code: four times V8's default. */
const OPTIMISATION_BUDGET = 270_000;

/**
 * Makes V8 collect garbage and optimise code less often in this process: its threads would take time from the network
 * while all cores compute.
 *
 * It counts pixels as growth of the heap, though they are outside of it, and would mark and sweep a heap of 20 MB after
 * every 20 MB of them; the heap's limit holds as before. And it would optimise what runs a few hundred times for each
 * image; a loop over pixels still is, while it runs for the first time.
 */
export function runFewerTasks(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
  setFlagsFromString(`--interrupt-budget=${OPTIMISATION_BUDGET}`);
}
