import { codeOf, detailOf } from './problems.js';

/** How a call ended, as one process tells another. */
export type Outcome =
  | { readonly type: 'answer'; readonly value: unknown }
  | { readonly type: 'refused'; readonly code: string; readonly message: string };

/** Runs a call of another process. Never rejects. */
export async function outcomeOf(call: () => Promise<unknown>): Promise<Outcome> {
  try {
    return { type: 'answer', value: await call() };
  } catch (error) {
    const code = codeOf(error);
    if (code === 'internal') console.error(error); // what was not foreseen is in the log, whole
    return { type: 'refused', code, message: detailOf(error) };
  }
}
