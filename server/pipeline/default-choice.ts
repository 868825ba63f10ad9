import type { Card } from '../../model/card.js';
import { type ComputeChoice, divideThreads } from '../../model/compute-choice.js';
import { AUTO_OUTPUT_PX } from '../../tiling/plan.js';
import { BATCH_PX, lanesFit } from './memory.js';

/**
 * How a model is computed where nothing was measured: in as many lanes as fit into the memory, of as few threads as
 * possible.
 *
 * @param device its threads, and the requested number of lanes, if any: at most one for each thread
 * @param memory bytes that the process may take
 */
export function defaultChoice(
  card: Pick<Card, 'architecture' | 'weights'>,
  device: { readonly threads: number; readonly lanes?: number | undefined },
  memory: number,
): ComputeChoice {
  const tile = AUTO_OUTPUT_PX;
  const { top, left, bottom, right } = card.architecture.halo;
  const tilePx = (tile + left + right) * (tile + top + bottom);
  const { threads, lanes } = device;
  if (lanes !== undefined)
    return { tile, batch: BATCH_PX, lanes, threads: Math.floor(threads / lanes), isMeasured: false };
  let use = divideThreads(threads);
  while (use.lanes > 1 && !lanesFit(use.lanes, card, tilePx, memory)) {
    use = divideThreads(threads, use.lanes - 1);
  }
  return { tile, batch: BATCH_PX, ...use, isMeasured: false };
}
