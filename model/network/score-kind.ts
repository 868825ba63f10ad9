/**
 * What the scores of a network mean: logits of a softmax; logits of classes that are independent of each other, beside a
 * background that has none (`sigmoid`), or the background among them (`sigmoids`); or probabilities.
 */
export type ScoreKind = 'softmax' | 'sigmoid' | 'sigmoids' | 'probabilities';

/**
 * Whether each of several sigmoids is a class, because a card has as many: then one of them is the background, and a pixel
 * has the class of the greatest. Otherwise the background is beside them, and has no channel.
 */
export const haveOwnBackground = (sigmoids: number, classes: number | undefined): boolean =>
  sigmoids > 1 && classes === sigmoids;

/** What scores mean that are said to be of a kind, by how many classes a card has. */
export const kindFor = (stated: ScoreKind, scores: number, classes: number | undefined): ScoreKind =>
  stated === 'sigmoid' && haveOwnBackground(scores, classes) ? 'sigmoids' : stated;

/** The function that makes probabilities of scores; null where they are. */
export const activationOf = (kind: ScoreKind): 'softmax' | 'sigmoid' | null =>
  kind === 'probabilities' ? null : kind === 'softmax' ? 'softmax' : 'sigmoid';

/** The classes that a network with as many scores distinguishes, the background among them. */
export const classesOfScores = (kind: ScoreKind, scores: number): number =>
  kind === 'sigmoid' || scores === 1 ? scores + 1 : scores;
