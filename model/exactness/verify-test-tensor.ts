import { VerificationError } from '../errors.js';

/** As bioimageio.core accepts a test output by default. */
const TEST_TOLERANCE = { relative: 1e-3, absolute: 1e-3, mismatchesPerMillion: 100 } as const;

export interface TestTolerance {
  readonly relative: number;
  readonly absolute: number;
  /** Of the values, such as 100: those that may be beyond the tolerance. */
  readonly mismatchesPerMillion: number;
}

export interface TestOutcome {
  readonly values: number;
  /** Values beyond the tolerance. */
  readonly mismatches: number;
  readonly largestDifference: number;
}

/**
 * Compares what a network computes for a test tensor with what its makers say that it computes.
 * @throws VerificationError where they differ beyond the tolerance
 */
export function checkTest(
  found: Float32Array,
  expected: Float32Array,
  { relative, absolute, mismatchesPerMillion }: TestTolerance = TEST_TOLERANCE,
): TestOutcome {
  const values = expected.length;
  if (found.length !== values) {
    throw new VerificationError(`its test has ${values} values, and the network returns ${found.length}`);
  }
  let [mismatches, largestDifference] = [0, 0];
  for (const [i, value] of expected.entries()) {
    const difference = Math.abs(found[i]! - value);
    if (difference > largestDifference) largestDifference = difference;
    if (!(difference <= absolute + relative * Math.abs(value))) mismatches++;
  }
  if (!(mismatches <= (values * mismatchesPerMillion) / 1e6)) {
    throw new VerificationError(
      `${mismatches} of ${values} values of its test are beyond the tolerance, by up to ${largestDifference}`,
    );
  }
  return { values, mismatches, largestDifference };
}
