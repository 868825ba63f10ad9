import { setTimeout } from 'node:timers/promises';

/** Resolves after `ms`, or when `signal` aborts; a pending delay keeps no process alive. */
export async function delay(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal, ref: false }).catch(() => undefined);
}
