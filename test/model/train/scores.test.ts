import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { agreement, borderScores } from '../../../model/train/border-scores.js';
import { Confusion } from '../../../model/train/scores.js';

describe('pixel scores', () => {
  const truth = Uint8Array.of(0, 0, 0, 1, 1, 2, 255);
  const predicted = Uint8Array.of(0, 0, 1, 1, 0, 2, 1);
  const confusion = new Confusion(4);
  confusion.add(truth, predicted);

  it('match their definitions; pixels outside the classes are ignored', () => {
    expect(confusion.pixelError).toBeCloseTo(2 / 6);
    expect(confusion.iou).toEqual([2 / 4, 1 / 3, 1, 1]);
    expect(confusion.dice).toEqual([4 / 6, 2 / 4, 1, 1]);
    expect(confusion.scores(['a', 'b', 'c', 'd'])).toMatchObject({ meanIou: 0.70833, 'dice b': 0.5 });
  });
});

/** Reference implementations: over all pairs of foreground pixels, and by sums over pixels. */
function defined(truth: readonly number[], predicted: readonly number[]) {
  const counted = truth.flatMap((t, at) => (t > 0 ? [at] : []));
  const all = counted.length;
  let [both, trues, found] = [0, 0, 0];
  for (const i of counted) {
    for (const j of counted) {
      const [t, p] = [truth[i] === truth[j], predicted[i] === predicted[j]];
      if (t && p) both++;
      if (t) trues++;
      if (p) found++;
    }
  }
  const share = (matches: (at: number) => boolean) => counted.filter(matches).length / all;
  let [information, hTruth, hFound] = [0, 0, 0];
  for (const i of counted) {
    const t = share((at) => truth[at] === truth[i]);
    const p = share((at) => predicted[at] === predicted[i]);
    const joint = share((at) => truth[at] === truth[i] && predicted[at] === predicted[i]);
    information += Math.log(joint / (t * p)) / all;
    hTruth -= Math.log(t) / all;
    hFound -= Math.log(p) / all;
  }
  const entropies = (hTruth + hFound) / 2;
  return { vRand: both / ((trues + found) / 2), vInfo: entropies < 1e-12 ? 1 : information / entropies };
}

describe('V_Rand and V_Info', () => {
  it('are 1 for identical regions under other labels, and less for a split or a merger', () => {
    expect(agreement([1, 1, 2, 2], [7, 7, 3, 3])).toEqual({ vRand: 1, vInfo: 1 });
    expect(agreement([1, 1, 1, 1], [1, 1, 2, 2]).vRand).toBeCloseTo(2 / 3);
    expect(agreement([1, 1, 2, 2], [1, 1, 1, 1])).toEqual({ vRand: 2 / 3, vInfo: 0 });
  });

  it('match the definition over all pairs of pixels', () => {
    const labels = fc.array(fc.tuple(fc.nat(3), fc.nat(3)), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(labels, (pairs) => {
        const [truth, predicted] = [pairs.map(([t]) => t), pairs.map(([, p]) => p)];
        fc.pre(truth.some((t) => t > 0));
        const expected = defined(truth, predicted);
        const actual = agreement(truth, predicted);
        expect(actual.vRand).toBeCloseTo(expected.vRand, 9);
        expect(actual.vInfo).toBeCloseTo(expected.vInfo, 9);
      }),
    );
  });

  const wide = [1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1];
  it('depend, after thinning, on gaps in a border and not on its width', () => {
    const thick = [1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1];
    expect(borderScores(wide, thick, 7, 2)).toEqual({ vRand: 1, vInfo: 1 });
    const gap = [1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
    expect(borderScores(wide, gap, 7, 2).vRand).toBeLessThan(0.7);
  });
});
