import type { Worker } from 'node:worker_threads';
import type { LaneData } from './engine-methods.js';
import { startEngineThread } from './start-engine-thread.js';

/**
 * The process of one device, which its first message describes. The lane is a thread of it, which blocks while it computes;
 * this thread passes the messages between it and the engine, so that the next batch arrives meanwhile.
 */
let lane: Promise<Worker> | null = null;

process.on('message', (message) => {
  if (lane === null) lane = start(message as LaneData);
  else void lane.then((thread) => thread.postMessage(message));
});
// Orphaned: an orderly exit would wait for, or trip over, what the device is doing.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
// Ctrl-C reaches the whole group; the engine decides when its devices stop.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);

async function start(data: LaneData): Promise<Worker> {
  // CUDA's libraries read it: they would round products of 32-bit floats to 19 bits by default.
  if (data.precision === 'tf32') delete process.env.NVIDIA_TF32_OVERRIDE;
  else process.env.NVIDIA_TF32_OVERRIDE = '0';
  // Devices are numbered as nvidia-smi numbers them for people; by default the fastest would come first.
  process.env.CUDA_DEVICE_ORDER = 'PCI_BUS_ID';
  const thread = await startEngineThread(data);
  thread.on('message', (message) => process.send?.(message, undefined, undefined, () => undefined));
  thread.on('exit', (code) => process.exit(code));
  return thread;
}
