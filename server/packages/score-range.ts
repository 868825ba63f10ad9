import type { Engine } from '../../model/engine/engine.js';
import { noiseOf } from '../../model/exactness/self-test.js';
import { readsIntensities } from '../../model/network/normalisation.js';
import { type Card, normalisationOf, scoresOf } from '../../model/shelf/card.js';

/** How far beyond 0 and 1 probabilities may be: more than any rounding. */
const TOLERANCE = 1e-3;

/**
 * What a user should know where a network returns other values for noise than its probabilities may have, or labels alone;
 * null where it does not. It is no error: labels of several classes are right for logits, too, and a network may have learnt
 * zeros and ones without a last layer that bounds them.
 *
 * @param outputChannels of its scores, in front of a comparison in which its graph may end
 */
export async function doubtOfScores(
  folder: string,
  engine: Engine,
  card: Card,
  outputChannels: number,
): Promise<string | null> {
  if (scoresOf(card) !== 'probabilities') return null;
  const { architecture, inputChannels } = card;
  const side = architecture.smallest;
  const noise = noiseOf({ isOfBytes: true }, side * side * inputChannels);
  const unit = readsIntensities(normalisationOf(card)) ? 255 : 1;
  const { values, channels } = await engine.compute(folder, {
    values: Float32Array.from(noise, (value) => value / unit),
    height: side,
    width: side,
    channels: inputChannels,
  });
  if (channels !== outputChannels)
    return 'its graph ends in labels, and what they are compared from is taken for probabilities: if they are logits, import it with --scores softmax';
  let [least, greatest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) [least, greatest] = [Math.min(least, value), Math.max(greatest, value)];
  if (least >= -TOLERANCE && greatest <= 1 + TOLERANCE) return null;
  const logits = channels === 1 ? '--scores sigmoid' : '--scores softmax, or sigmoid';
  return `it returns values from ${least.toPrecision(3)} to ${greatest.toPrecision(3)} for noise, which are taken for probabilities: if they are logits, import it with ${logits}`;
}
