/** Loss functions: cross-entropy, soft Dice, or their sum. */
export const LOSSES = ['cross-entropy', 'dice', 'cross-entropy+dice'] as const;
export type LossKind = (typeof LOSSES)[number];

/** Added to numerator and denominator of a Dice coefficient: a class that is neither present nor predicted scores 1. */
export const DICE_SMOOTHING = 1;

export const OPTIMIZERS = ['sgd', 'adam', 'adamw'] as const;

export interface OptimizerConfig {
  readonly kind: (typeof OPTIMIZERS)[number];
  /** Momentum of SGD, in [0, 1); such as 0.99. Adam and AdamW ignore it. */
  readonly momentum: number;
  /** Decoupled weight decay of AdamW, at least 0; such as 0.01. Others ignore it. */
  readonly weightDecay: number;
  /** Largest norm of the gradients of all weights together, such as 1; null for no clipping. */
  readonly clipNorm: number | null;
}
