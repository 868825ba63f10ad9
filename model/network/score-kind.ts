/**
 * What the scores of a network mean: logits of a softmax, logits of classes that are independent of each other, beside a
 * background that has none, or probabilities.
 */
export type ScoreKind = 'softmax' | 'sigmoid' | 'probabilities';

/** The classes that a network with as many scores distinguishes, the background among them. */
export const classesOfScores = (kind: ScoreKind, scores: number): number =>
  kind === 'sigmoid' || scores === 1 ? scores + 1 : scores;
