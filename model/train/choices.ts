/** What is minimised: cross-entropy, soft Dice, or their sum. */
export const LOSSES = ['cross-entropy', 'dice', 'cross-entropy+dice'] as const;
export type LossKind = (typeof LOSSES)[number];

/** Added to both sums of a Dice coefficient: a class that is neither there nor predicted scores 1. */
export const DICE_SMOOTHING = 1;

export const OPTIMIZERS = ['sgd', 'adam', 'adamw'] as const;

export interface OptimizerConfig {
  readonly kind: (typeof OPTIMIZERS)[number];
  /** Of SGD, in [0, 1). */
  readonly momentum: number;
  /** Of AdamW: the share of each weight that a step of rate 1 takes away. */
  readonly weightDecay: number;
  /** Gradients of all weights together are cut to this length; null leaves them. */
  readonly clipNorm: number | null;
}
