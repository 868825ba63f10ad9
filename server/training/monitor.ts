/** Scores that can select the best network. */
export const MONITORS = ['loss', 'pixelError', 'meanDice', 'meanIou', 'vRand'] as const;
export type Monitor = (typeof MONITORS)[number];

/** A class with a smaller share of the pixels is rare: never predicting it would hardly raise the pixel error. */
const RARE = 0.1;

/**
 * The score that suits the class balance: Dice if a class is rare, else the pixel error.
 * @param frequencies pixels of each class
 */
export function monitorFor(frequencies: readonly number[]): Monitor {
  const total = frequencies.reduce((sum, n) => sum + n, 0);
  return frequencies.some((n) => n > 0 && n < RARE * total) ? 'meanDice' : 'pixelError';
}

const isError = (monitor: Monitor): boolean => monitor === 'loss' || monitor === 'pixelError';

/** What the best network minimises: a loss or an error itself, or 1 minus a score. */
export function errorOf(
  monitor: Monitor,
  { loss, scores }: { readonly loss: number; readonly scores: Readonly<Record<string, number>> },
): number {
  const name = monitor === 'vRand' ? 'vRandBestOf9' : monitor; // its threshold is chosen along with the network
  const value = monitor === 'loss' ? loss : scores[name]!;
  return isError(monitor) ? value : 1 - value;
}

/** The inverse of `errorOf`, to five decimal places; null for NaN and infinity. */
export function scoreOf(monitor: Monitor, error: number): number | null {
  if (!Number.isFinite(error)) return null;
  return Number((isError(monitor) ? error : 1 - error).toFixed(5));
}
