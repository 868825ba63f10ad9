import { Worker } from 'node:worker_threads';
import type { LaneData } from './engine-methods.js';

/** Memory of new objects of a thread with a limited heap, in MB. */
const YOUNG_MB = 8;

/** Starts the thread of a lane, which inherits from this one that denormals are flushed. */
export async function startEngineThread(workerData: LaneData): Promise<Worker> {
  if (workerData.provider === 'cpu') {
    const { flushDenormals } = await import('./flush-denormals.js');
    await flushDenormals();
  }
  const { heapMb } = workerData;
  const resourceLimits = { maxOldGenerationSizeMb: heapMb ?? 0, maxYoungGenerationSizeMb: YOUNG_MB };
  const url = new URL('./engine-thread.js', import.meta.url);
  return new Worker(url, { workerData, ...(heapMb !== undefined && { resourceLimits }) });
}
