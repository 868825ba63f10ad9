import type { Card } from '../../model/card.js';
import { type ComputeChoice, divideThreads } from '../../model/compute-choice.js';
import { AUTO_OUTPUT_PX } from '../../tiling/plan.js';
import { lanesFit } from './memory.js';

/** Px of a batch for each thread of its lane: larger ones leave the caches, and are no faster. */
const BATCH_PX = 100_000;

/** What is known of a device: its threads, and the number of lanes that was requested, if any. */
interface Device {
  readonly threads: number;
  /** At most one for each thread. */
  readonly lanes?: number | undefined;
}

/**
 * How a model is computed where nothing was measured: in as many lanes as fit into the memory, of as few threads as
 * possible.
 *
 * @param memory bytes that the process may take
 */
export function defaultChoice(
  card: Pick<Card, 'architecture' | 'weights'>,
  { threads, lanes }: Device,
  memory: number,
): ComputeChoice {
  const { top, left, bottom, right } = card.architecture.halo;
  const tile = AUTO_OUTPUT_PX;
  const tilePx = (tile + left + right) * (tile + top + bottom);
  let use = lanes === undefined ? divideThreads(threads) : { lanes, threads: Math.floor(threads / lanes) };
  while (lanes === undefined && use.lanes > 1 && !lanesFit(use.lanes, card, tilePx, memory)) {
    use = divideThreads(threads, use.lanes - 1);
  }
  return { tile, batch: BATCH_PX * use.threads, ...use, isMeasured: false };
}

/** How a network is computed that only the first lane has: one in training. */
export const oneLane = (threads: number): ComputeChoice => {
  return { tile: AUTO_OUTPUT_PX, batch: BATCH_PX * threads, lanes: 1, threads, isMeasured: false };
};
