/** The stages of a job, in metrics, `Server-Timing`, logs and receipts alike. */
export const STAGES = ['upload', 'statistics', 'decode', 'queue', 'infer', 'stitch', 'encode'] as const;
export type Stage = (typeof STAGES)[number];

/** Rounds a time to a tenth of a millisecond, as receipts state it. */
export const roundMs = (ms: number): number => Math.round(ms * 10) / 10;
