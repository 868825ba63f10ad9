import { RequestError } from '../../contract/errors.js';
import type { Pair } from './dataset.js';

/** Which images are trained on, which select the best network, and which are scored once, at the end. */
export interface Split {
  readonly training: readonly Pair[];
  readonly validation: readonly Pair[];
  readonly test: readonly Pair[];
}

/**
 * Splits the images. By default the last fifth of those that are not for testing is for validation.
 * @throws RequestError `bad-data` for a name without an image, and for an empty part
 */
export function splitPairs(
  pairs: readonly Pair[],
  requested: { readonly validation: readonly string[] | null; readonly test: readonly string[] },
): Split {
  const stems = pairs.map(({ stem }) => stem);
  const rest = stems.filter((stem) => !requested.test.includes(stem));
  const lastFifth = rest.slice(-Math.max(1, Math.floor(rest.length / 5)));
  const [validation, test] = [new Set(requested.validation ?? lastFifth), new Set(requested.test)];
  const unknown = [...validation, ...test].find((stem) => !stems.includes(stem));
  if (unknown !== undefined) throw new RequestError('bad-data', `no image is named "${unknown}"`);
  const split = {
    training: pairs.filter(({ stem }) => !validation.has(stem) && !test.has(stem)),
    validation: pairs.filter(({ stem }) => validation.has(stem)),
    test: pairs.filter(({ stem }) => test.has(stem)),
  };
  for (const part of ['training', 'validation'] as const) {
    if (split[part].length === 0) throw new RequestError('bad-data', `no images remain for ${part}`);
  }
  return split;
}

/**
 * The validation images of each fold of a cross-validation: every image once, in parts as equal as possible.
 * @throws RequestError `bad-data` for fewer images than folds
 */
export function foldsOf(stems: readonly string[], folds: number): readonly (readonly string[])[] {
  if (stems.length < folds) {
    throw new RequestError(
      'bad-data',
      `${folds} folds need as many images that are not for testing; there are ${stems.length}`,
    );
  }
  return Array.from({ length: folds }, (_, k) => {
    const at = (i: number) => Math.round((i * stems.length) / folds);
    return stems.slice(at(k), at(k + 1));
  });
}
