import { type ComputeChoice, divideThreads } from '../../model/compute-choice.js';
import type { Provider } from '../../model/devices/device.js';
import type { Engine } from '../../model/engine/engine.js';
import type { Card } from '../../model/shelf/card.js';
import { AUTO_OUTPUT_PX } from '../../tiling/plan.js';
import { lanesFit, type Memories, maxBatchPixels } from './memory.js';

/** Px of a batch for each thread of its lane: on a CPU, larger ones leave the caches, and are no faster. */
const BATCH_PX: Readonly<Record<Provider, number>> = { cpu: 100_000, webgpu: 2_000_000, cuda: 8_000_000 };

/** What is known of a device: its kind, its threads, and the number of lanes that was requested, if any. */
interface Device {
  /** Default `cpu`. */
  readonly provider?: Provider | undefined;
  readonly threads: number;
  /** At most one for each thread. */
  readonly lanes?: number | undefined;
}

/**
 * How a model is computed where nothing was measured: in as many lanes as fit into the memory, of as few threads as
 * possible.
 */
export function defaultChoice(
  card: Pick<Card, 'architecture' | 'weights'>,
  { provider = 'cpu', threads, lanes }: Device,
  memories: Memories,
): ComputeChoice {
  const { top, left, bottom, right } = card.architecture.halo;
  const tile = AUTO_OUTPUT_PX;
  const tilePx = (tile + left + right) * (tile + top + bottom);
  let use = lanes === undefined ? divideThreads(threads) : { lanes, threads: Math.floor(threads / lanes) };
  while (lanes === undefined && use.lanes > 1 && !lanesFit(use.lanes, card, tilePx, memories)) {
    use = divideThreads(threads, use.lanes - 1);
  }
  const batch = BATCH_PX[provider] * use.threads;
  const fitting = Math.max(tilePx, maxBatchPixels(card, use.lanes, memories));
  return { tile, batch: provider === 'cpu' ? batch : Math.min(batch, fitting), ...use, isMeasured: false };
}

/** How a network is computed that only the first lane has: one in training. */
export const oneLane = ({
  provider,
  laneThreads: threads,
}: Pick<Engine, 'provider' | 'laneThreads'>): ComputeChoice => {
  return { tile: AUTO_OUTPUT_PX, batch: BATCH_PX[provider] * threads, lanes: 1, threads, isMeasured: false };
};
