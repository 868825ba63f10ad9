/** Scores that the best network can be chosen by. */
export const MONITORS = ['loss', 'pixelError', 'meanDice', 'meanIou', 'vRand'] as const;
export type Monitor = (typeof MONITORS)[number];

/** A class with a smaller share of the pixels is rare: to leave it out would cost little pixel error. */
const RARE = 0.1;

/** What suits the balance of the classes: Dice where one is rare, else the pixel error. */
export function monitorFor(frequencies: readonly number[]): Monitor {
  const all = frequencies.reduce((sum, n) => sum + n, 0);
  return frequencies.some((n) => n > 0 && n < RARE * all) ? 'meanDice' : 'pixelError';
}

const isError = (monitor: Monitor): boolean => monitor === 'loss' || monitor === 'pixelError';

/** What the best network has least of: a loss or an error as it is, of a score what it lacks of 1. */
export function errorOf(
  monitor: Monitor,
  { loss, scores }: { readonly loss: number; readonly scores: Readonly<Record<string, number>> },
): number {
  const name = monitor === 'vRand' ? 'vRandBestOf9' : monitor; // its cut is chosen with the network
  const value = monitor === 'loss' ? loss : scores[name]!;
  return isError(monitor) ? value : 1 - value;
}

/** The score that an error stands for, to five places; null for none, of a loss that was no number. */
export function scoreOf(monitor: Monitor, error: number): number | null {
  if (!Number.isFinite(error)) return null;
  return Number((isError(monitor) ? error : 1 - error).toFixed(5));
}
