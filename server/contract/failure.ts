import type { Failure } from '../../model/engine/rpc.js';
import { codeOf, detailOf } from './problems.js';

/** An error as another process learns of it. One that was not foreseen is logged here, for it does not cross. */
export function failureOf(error: unknown): Failure {
  const code = codeOf(error);
  if (code === 'internal') console.error(error);
  return { code, message: detailOf(error) };
}
