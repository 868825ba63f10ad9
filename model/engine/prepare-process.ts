import type { LaneData } from './engine-methods.js';

/** Prepares this process for the threads of lanes, which inherit from it what a runtime reads when it is loaded. */
export async function prepareProcess({ tensorflow, provider, threads }: LaneData): Promise<void> {
  if (tensorflow) {
    const { prepareTensorFlow } = await import('../tensorflow/prepare.js');
    prepareTensorFlow(threads);
    return;
  }
  if (provider !== 'cpu') return;
  const { flushDenormals } = await import('./flush-denormals.js');
  await flushDenormals();
}
