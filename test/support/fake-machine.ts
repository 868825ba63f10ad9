import { ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { basename } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import type { DeviceFault } from './faulty-device.js';

/**
 * A machine with NVIDIA's driver, as far as the file system shows, and with a device that may fail: for what a test cannot
 * cause. To be imported into each process, as `ON_FAKE_MACHINE` has it.
 */
const DRIVER = '/dev/nvidiactl';
const DEVICE_PROCESS = 'device-process.js';
/** For `NODE_OPTIONS`: processes of Node are on such a machine. */
export const ON_FAKE_MACHINE = `--import=${import.meta.url}`;

/** Has the devices of processes that are started from now on fail: workers inherit only what they need. */
export function causeFault(fault: DeviceFault | null): void {
  process.env.DEVICE_FAULT = JSON.stringify(fault);
  const script = `process.env.DEVICE_FAULT=${JSON.stringify(process.env.DEVICE_FAULT)}`;
  process.env.NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(script)} ${ON_FAKE_MACHINE}`;
}

const { existsSync } = fs;
fs.existsSync = (path) => path === DRIVER || existsSync(path);
syncBuiltinESMExports();

const { kill } = ChildProcess.prototype;
ChildProcess.prototype.kill = function (this: ChildProcess, signal) {
  const { how, device } = (JSON.parse(process.env.DEVICE_FAULT ?? 'null') ?? {}) as Partial<DeviceFault>;
  const [module = '', name = ''] = this.spawnargs.slice(-2);
  const isStuck = how === 'stuck' && basename(module) === DEVICE_PROCESS && name.endsWith(`:${device}`);
  return isStuck || kill.call(this, signal); // one that waits for its device in the kernel ends when that returns
};

if (isMainThread && basename(process.argv[1] ?? '') === DEVICE_PROCESS) await import('./faulty-device.js');
