/** Floats that networks compute with: of 32 bits, or of 16 where those suffice. */
export const PRECISIONS = ['fp32', 'fp16'] as const;
export type Precision = (typeof PRECISIONS)[number];
