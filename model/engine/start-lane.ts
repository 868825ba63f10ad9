import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { deviceName } from '../devices/device.js';
import { DeviceUnavailableError, EngineLostError, hasCode } from '../errors.js';
import { childProcess, workerThread } from './channel.js';
import type { EngineMethods, LaneData } from './engine-methods.js';
import { Connection } from './rpc.js';
import { startEngineThread } from './start-engine-thread.js';

/** How long a process may take to end once it was killed: one whose driver waits for its device does not; in ms. */
const KILL_MS = 5000;

const DEVICE_PROCESS = fileURLToPath(new URL('./device-process.js', import.meta.url));

/** Where a lane runs. */
export interface StartedLane {
  readonly connection: Connection<EngineMethods>;
  /**
   * Ends it at once, whatever it does. A process that does not end within `KILL_MS` is abandoned: its connection ends.
   * @param reason for the errors of its calls. Default how it ended
   */
  readonly end: (reason?: string) => void;
  /** Whether it was abandoned, and has not ended yet. */
  readonly isStuck: () => boolean;
}

/** Starts a lane in a thread of this process. */
export async function startThread(data: LaneData): Promise<StartedLane> {
  const worker = await startEngineThread(data);
  const connection = new Connection<EngineMethods>(workerThread(worker), {
    onExit: ({ error }) => exitError(error),
  });
  return { connection, end: () => void worker.terminate(), isStuck: () => false };
}

function exitError(error: Error | null | undefined): Error {
  if (!error) return new EngineLostError('the engine is closed');
  if (hasCode(error, 'device-unavailable'))
    return new DeviceUnavailableError(error.message, { cause: error });
  return new EngineLostError(`a lane of the engine failed: ${error.message}`);
}

/**
 * Starts a lane in a process of its own: what breaks there, in a driver, breaks nothing else, and it can be ended when it
 * hangs.
 */
export function startProcess(data: LaneData): StartedLane {
  const name = deviceName(data.provider, data.device);
  const child = fork(DEVICE_PROCESS, [name], { serialization: 'advanced' }); // the name is for lists of processes
  const channel = childProcess(child);
  let why: string | null = null;
  const connection = new Connection<EngineMethods>(channel, {
    onExit: ({ status }) =>
      new EngineLostError(why === null ? `the process of ${name} ended (${status})` : `${name}: ${why}`),
  });
  channel.post(data);
  let isAbandoned = false;
  let hasExited = false;
  let timeout: NodeJS.Timeout | null = null;
  void connection.exited.then(() => {
    hasExited = true;
    clearTimeout(timeout ?? undefined);
  });
  const abandon = () => {
    isAbandoned = true;
    connection.lose({ status: 'it does not end', error: null });
    if (child.connected) child.disconnect();
    child.unref();
  };
  return {
    connection,
    end: (reason) => {
      why ??= reason ?? null;
      child.kill('SIGKILL');
      if (!hasExited) timeout ??= setTimeout(abandon, KILL_MS);
    },
    isStuck: () => isAbandoned && child.exitCode === null && child.signalCode === null,
  };
}
