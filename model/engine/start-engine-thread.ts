import { Worker } from 'node:worker_threads';
import type { LaneData } from './engine-methods.js';
import { prepareProcess } from './prepare-process.js';

/** Memory of new objects of a thread with a limited heap, in MB. */
const YOUNG_MB = 8;

/** Starts the thread of a lane. */
export async function startEngineThread(workerData: LaneData): Promise<Worker> {
  await prepareProcess(workerData);
  const { heapMb } = workerData;
  const resourceLimits = { maxOldGenerationSizeMb: heapMb ?? 0, maxYoungGenerationSizeMb: YOUNG_MB };
  const url = new URL('./engine-thread.js', import.meta.url);
  return new Worker(url, { workerData, ...(heapMb !== undefined && { resourceLimits }) });
}
