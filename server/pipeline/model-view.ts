import { readsIntensities } from '../../model/network/normalisation.js';
import { type Card, normalisationOf, trainingRangeOf } from '../../model/shelf/card.js';
import type { OpenOptions } from '../../tiling/sources/options.js';

/** What a model decides of how an image is opened: its channels by name, and what its values become. */
export type ModelView = Pick<OpenOptions, 'trainingRange' | 'wanted' | 'values'>;

/** How images are opened for a model. */
export function viewFor(card: Pick<Card, 'normalisation' | 'channels'>): ModelView {
  return {
    trainingRange: trainingRangeOf(card),
    wanted: card.channels,
    values: readsIntensities(normalisationOf(card)) ? 'intensities' : 'unscaled',
  };
}
