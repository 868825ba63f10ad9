/** As bioimageio.core accepts a test output by default. */
export const TEST_TOLERANCE = { relative: 1e-3, absolute: 1e-3, mismatchesPerMillion: 100 } as const;

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
  readonly isWithin: boolean;
}

/** Compares what a network computes for a test tensor with what its makers say that it computes. */
export function compareTest(
  found: Float32Array,
  expected: Float32Array,
  { relative, absolute, mismatchesPerMillion }: TestTolerance = TEST_TOLERANCE,
): TestOutcome {
  let [mismatches, largestDifference] = [Math.abs(found.length - expected.length), 0];
  for (const [i, value] of expected.entries()) {
    const difference = Math.abs((found[i] ?? Number.NaN) - value);
    if (difference > largestDifference) largestDifference = difference;
    if (!(difference <= absolute + relative * Math.abs(value))) mismatches++;
  }
  const isWithin = mismatches <= (expected.length * mismatchesPerMillion) / 1e6;
  return { values: expected.length, mismatches, largestDifference, isWithin };
}
