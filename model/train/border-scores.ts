import { components } from './components.js';

/** Agreement of regions instead of pixels: both in [0, 1], 1 for equal regions. */
export interface BorderScores {
  /** Foreground-restricted Rand F-score. */
  readonly vRand: number;
  /** Foreground-restricted information-theoretic F-score. */
  readonly vInfo: number;
}

/**
 * The scores of the ISBI 2012 challenge (Arganda-Carreras et al., Frontiers in Neuroanatomy 2015), with
 * equal weights of precision and recall. Regions are the 4-connected components of the foreground. Predicted
 * borders are thinned first: each border pixel joins the nearest region, so that the width of a border does
 * not matter, but a gap in it does. Only pixels that are foreground in the truth count.
 *
 * @param truth 1 foreground, 0 border, above 1 ignored; `width · height`
 * @param predicted 1 foreground, 0 border
 */
export function borderScores(
  truth: ArrayLike<number>,
  predicted: ArrayLike<number>,
  width: number,
  height: number,
): BorderScores {
  const foreground = Uint8Array.from(truth, (value) => (value === 1 ? 1 : 0));
  const trueIds = components(foreground, width, height).ids;
  const predictedIds = growRegions(components(predicted, width, height).ids, width, height);
  return agreement(trueIds, predictedIds);
}

/** Grows all regions at the same rate, through 4-neighbours, until they meet; in place. */
function growRegions(ids: Int32Array, width: number, height: number): Int32Array {
  const queue = new Int32Array(ids.length);
  let end = 0;
  for (let at = 0; at < ids.length; at++) if (ids[at]! > 0) queue[end++] = at;
  const take = (at: number, id: number) => {
    if (ids[at] !== 0) return;
    ids[at] = id;
    queue[end++] = at;
  };
  for (let next = 0; next < end; next++) {
    const at = queue[next]!;
    const id = ids[at]!;
    const x = at % width;
    if (x > 0) take(at - 1, id);
    if (x < width - 1) take(at + 1, id);
    if (at >= width) take(at - width, id);
    if (at < width * (height - 1)) take(at + width, id);
  }
  return ids;
}

/** V_Rand and V_Info of two labellings, over the pixels whose `truth` is above 0. */
export function agreement(truth: ArrayLike<number>, predicted: ArrayLike<number>): BorderScores {
  const joint = new Map<number, number>();
  const [trueSizes, predictedSizes] = [new Map<number, number>(), new Map<number, number>()];
  const add = (map: Map<number, number>, key: number) => map.set(key, (map.get(key) ?? 0) + 1);
  let all = 0;
  for (let at = 0; at < truth.length; at++) {
    const t = truth[at]!;
    if (t <= 0) continue;
    const p = predicted[at]!;
    all++;
    add(joint, t * 2 ** 26 + p);
    add(trueSizes, t);
    add(predictedSizes, p);
  }
  if (all === 0) return { vRand: 1, vInfo: 1 };
  const sum = (map: Map<number, number>, of: (share: number) => number) =>
    [...map.values()].reduce((total, n) => total + of(n / all), 0);
  const squares = (share: number) => share * share;
  const bits = (share: number) => -share * Math.log2(share);
  const rand = sum(joint, squares) / (0.5 * sum(trueSizes, squares) + 0.5 * sum(predictedSizes, squares));
  const [hTrue, hPredicted, hJoint] = [sum(trueSizes, bits), sum(predictedSizes, bits), sum(joint, bits)];
  const entropies = 0.5 * hTrue + 0.5 * hPredicted;
  return { vRand: rand, vInfo: entropies === 0 ? 1 : (hTrue + hPredicted - hJoint) / entropies };
}
