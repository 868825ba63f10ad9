import { RequestError } from '../contract/errors.js';
import type { Pair } from './dataset.js';

export interface Split {
  readonly training: readonly Pair[];
  readonly validation: readonly Pair[];
  readonly test: readonly Pair[];
}

/**
 * Divides the images. Where none are named for validation, the last fifth of what is not for testing is.
 * @throws RequestError for a split that the images do not allow
 */
export function splitPairs(
  pairs: readonly Pair[],
  named: { readonly validation: readonly string[] | null; readonly test: readonly string[] },
): Split {
  const stems = pairs.map(({ stem }) => stem);
  const rest = stems.filter((stem) => !named.test.includes(stem));
  const lastFifth = rest.slice(-Math.max(1, Math.floor(rest.length / 5)));
  const [validation, test] = [new Set(named.validation ?? lastFifth), new Set(named.test)];
  const unknown = [...validation, ...test].find((stem) => !stems.includes(stem));
  if (unknown !== undefined) throw new RequestError('bad-data', `no image is named "${unknown}"`);
  const split = {
    training: pairs.filter(({ stem }) => !validation.has(stem) && !test.has(stem)),
    validation: pairs.filter(({ stem }) => validation.has(stem)),
    test: pairs.filter(({ stem }) => test.has(stem)),
  };
  for (const part of ['training', 'validation'] as const) {
    if (split[part].length === 0) throw new RequestError('bad-data', `no images are left for ${part}`);
  }
  return split;
}

/**
 * The stems that each of k rotations validates on: every image once, in parts as equal as can be.
 * @throws RequestError for fewer images than folds
 */
export function foldsOf(stems: readonly string[], folds: number): readonly (readonly string[])[] {
  if (stems.length < folds) {
    throw new RequestError(
      'bad-data',
      `${folds} folds need as many images, besides those for testing; there are ${stems.length}`,
    );
  }
  return Array.from({ length: folds }, (_, k) => {
    const at = (i: number) => Math.round((i * stems.length) / folds);
    return stems.slice(at(k), at(k + 1));
  });
}
