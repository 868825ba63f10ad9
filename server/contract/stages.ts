/** The stages of a job, in metrics, `Server-Timing`, logs and receipts alike. */
export const STAGES = ['upload', 'decode', 'queue', 'infer', 'stitch', 'encode'] as const;
export type Stage = (typeof STAGES)[number];
