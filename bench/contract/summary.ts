/** What schemathesis found. */
export interface Summary {
  readonly operations: number;
  readonly cases: number;
  /** Unique failures of its checks, and errors that kept it from checking. */
  readonly violations: number;
}

/**
 * Reads the summary of a run of schemathesis.
 * @throws Error for text without one
 */
export function summaryOf(text: string): Summary {
  const operations = Number(/Tested: (\d+)/.exec(text)?.[1]);
  const cases = Number(/^ *([\d,]+) generated/m.exec(text)?.[1]?.replaceAll(',', ''));
  const last = /^=+ (.*) in [\d.]+s =+$/m.exec(text)?.[1];
  if (!(operations > 0) || !(cases > 0) || last === undefined) throw new Error(`no summary in: ${text}`);
  const count = (what: string) => Number(new RegExp(`(\\d+) ${what}`).exec(last)?.[1] ?? 0);
  return { operations, cases, violations: count('failure') + count('error') };
}
