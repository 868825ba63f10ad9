import { fork } from 'node:child_process';
import { childProcess, workerThread } from './channel.js';
import { deviceName } from './device.js';
import type { EngineMethods, LaneData } from './engine-methods.js';
import { EngineLostError } from './errors.js';
import { Connection } from './rpc.js';
import { startEngineThread } from './start-engine-thread.js';

/** Where a lane runs. */
export interface StartedLane {
  readonly connection: Connection<EngineMethods>;
  /** Ends it at once, whatever it does. */
  readonly end: () => void;
}

/** Starts a lane in a thread of this process. */
export async function startThread(data: LaneData): Promise<StartedLane> {
  const worker = await startEngineThread(data);
  const connection = new Connection<EngineMethods>(workerThread(worker), {
    onExit: ({ error }) =>
      new EngineLostError(error ? `a lane of the engine failed: ${error.message}` : 'the engine is closed'),
  });
  return { connection, end: () => void worker.terminate() };
}

/**
 * Starts a lane in a process of its own: what breaks there, in a driver, breaks nothing else, and it can be ended when it
 * hangs.
 * @param module that the process runs
 */
export function startProcess(data: LaneData, module: string): StartedLane {
  const child = fork(module, [JSON.stringify(data)], { serialization: 'advanced' });
  const name = deviceName(data.provider, data.device);
  const connection = new Connection<EngineMethods>(childProcess(child), {
    onExit: ({ status }) => new EngineLostError(`the process of ${name} ended (${status})`),
  });
  return { connection, end: () => void child.kill('SIGKILL') };
}
