import type { ZodError } from 'zod';

/** The first thing that is wrong with parsed data, in one line: `settings.tile: Invalid input: expected number`. */
export function issueOf({ issues: [issue] }: ZodError): string {
  const path = issue!.path.join('.');
  return path === '' ? issue!.message : `${path}: ${issue!.message}`;
}
