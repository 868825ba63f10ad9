import type { LaneData } from './engine-methods.js';

/** Prepares this process for the threads of lanes, which inherit from it what a runtime reads when it is loaded. */
export async function prepareProcess({ tensorflow, provider, threads }: LaneData): Promise<void> {
  if (tensorflow) {
    const { setThreads } = await import('./tensorflow/set-threads.js');
    setThreads(threads);
    return;
  }
  if (provider !== 'cpu') return;
  const { flushDenormals } = await import('./flush-denormals.js');
  await flushDenormals();
}
