import type { Logger } from 'pino';
import { codeOf } from '../contract/problems.js';

/**
 * A log in which errors have no message: libraries put the names of files into them, and into properties. The code, the
 * class and the lines of the stack remain, by which a defect is found.
 */
export const withoutMessages = (log: Logger): Logger =>
  log.child({}, { serializers: { err: describeError } });

function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { type: typeof error };
  const { name, stack = '' } = error;
  return {
    type: name,
    code: codeOf(error),
    stack: stack
      .split('\n')
      .filter((line) => /^ {4}at /.test(line))
      .join('\n'),
  };
}
