import type { Receipt } from './receipt.js';

/** What is known of a job before it runs: what its receipt will say of it, and what it will take. */
export interface JobFacts
  extends Pick<
    Receipt,
    | 'model'
    | 'classes'
    | 'exact'
    | 'normalisation'
    | 'range'
    | 'image'
    | 'outputs'
    | 'plan'
    | 'channels'
    | 'device'
    | 'warnings'
  > {
  /** How far simplified contours may be from the pixels' sides, in px. */
  readonly simplify: number;
  readonly expected: {
    /** Of the process that runs it, at most. */
    readonly memoryBytes: number;
    /** Its journal and its files, at most; contours and tables are not counted. */
    readonly diskBytes: number;
    /** In addition, while it runs, for a picture that has to be unpacked. */
    readonly scratchBytes: number;
  };
}
