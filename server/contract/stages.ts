/** The stages of a job, everywhere: metrics, `Server-Timing`, logs and reports. */
export const STAGES = ['upload', 'decode', 'queue', 'infer', 'stitch', 'encode'] as const;
export type Stage = (typeof STAGES)[number];
