import { type GraphUse, noiseOf, scaleFor } from '../../model/exactness/self-test.js';
import type { TileGeometry } from '../../model/network/geometry.js';
import { within } from '../../tiling/geometry.js';
import { chooseTile, planTiles } from '../../tiling/plan.js';
import { NEVER } from '../storage/until-aborted.js';
import { tilesOf } from './batch-sizes.js';
import type { Predict } from './segment.js';
import type { Choice } from './tuning.js';

/** Rounds of batches in every lane that are timed, after one that prepares their memory; the fastest counts. */
const ROUNDS = 3;
/**
 * Px of output that a lane computes in a round, in several batches where tiles are small: at the end of a round, lanes
 * wait for each other, and for whatever else the machine does, which must not take a greater share of a short round.
 */
const ROUND_PX = 768 ** 2;
/**
 * What a round may take, by the first batch in each lane, which prepares its memory, too: rounds of a slow network have
 * one batch.
 */
const ROUND_MS = 4000;

/**
 * Measures how fast a model computes tiles of noise: Mpx of output a second, of all lanes together, the pixels that no
 * tile owns left out.
 *
 * @param predict the model's, in the lanes of the choice
 * @throws the signal's reason
 */
export async function measureSpeed(
  predict: Predict,
  geometry: TileGeometry,
  { tile: outputPx, batch, lanes }: Choice,
  { signal, ...use }: Pick<GraphUse, 'output' | 'channels' | 'scaled'> & { readonly signal: AbortSignal },
): Promise<number> {
  const { output, channels } = use;
  const image = { width: outputPx, height: outputPx };
  const tile = chooseTile(image, 'auto', geometry, outputPx);
  const { stride } = planTiles(within(tile, geometry.halo), { tile, rule: geometry });
  const px = tile.width * tile.height;
  const pixels = noiseOf({ isOfBytes: true }, px * channels);
  const scale = scaleFor({ ...use, isOfBytes: true }, 1);
  const perBatch = tilesOf(batch, px);
  // batches are not aborted: they are short, and the signal is checked between rounds
  const round = async (tiles: number): Promise<number> => {
    signal.throwIfAborted();
    const started = performance.now();
    await Promise.all(
      Array.from({ length: lanes * tiles }, () =>
        predict({ data: pixels, ...tile, channels, count: 1, ...scale }, output, NEVER),
      ),
    );
    return performance.now() - started;
  };
  const batches = Math.round(ROUND_PX / (perBatch * outputPx ** 2));
  const affordable = Math.floor(ROUND_MS / (await round(perBatch)));
  const perRound = perBatch * Math.max(1, Math.min(batches, affordable));
  let fastestMs = Number.POSITIVE_INFINITY;
  for (let i = 0; i < ROUNDS; i++) fastestMs = Math.min(fastestMs, await round(perRound));
  return (lanes * perRound * stride.width * stride.height) / fastestMs / 1000;
}
