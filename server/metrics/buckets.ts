/** Buckets in seconds, from the read of a tile to the upload of a slide. */
export const DURATIONS: number[] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000];

/** Buckets in seconds, from a small image to the largest slide behind others. */
export const JOB_DURATIONS: number[] = [0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000];
