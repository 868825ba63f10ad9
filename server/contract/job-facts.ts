import type { Receipt } from './receipt.js';

/** What is known of a job before it runs: a part of its receipt, and the resources it is expected to take. */
export interface JobFacts
  extends Pick<
    Receipt,
    | 'model'
    | 'classes'
    | 'exact'
    | 'largestDifference'
    | 'normalisation'
    | 'range'
    | 'image'
    | 'outputs'
    | 'plan'
    | 'channels'
    | 'device'
    | 'compute'
    | 'warnings'
  > {
  /** Whether the image is one file, or the folder or address of one image, and no other files hold parts of it. */
  readonly isOneFile: boolean;
  /** How far simplified contours may be from the pixels' sides, in px. */
  readonly simplify: number;
  readonly expected: {
    /** Of the worker process, at most. */
    readonly memoryBytes: number;
    /** Its journal and its files, at most; contours and tables are not counted. */
    readonly diskBytes: number;
    /** In addition, while it runs, for a picture that is unpacked to a scratch file. */
    readonly scratchBytes: number;
  };
}
