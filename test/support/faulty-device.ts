import { closeSync, openSync } from 'node:fs';
import type { LaneData } from '../../model/engine-methods.js';

/** How a device fails, as the environment of its process states it in `DEVICE_FAULT`, in JSON. */
export interface DeviceFault {
  /** The index of the device. */
  readonly device: number;
  readonly how: 'start' | 'exit' | 'hang';
  /** The batch in which it fails, from 1; for `exit` and `hang`. */
  readonly batch?: number;
  /** A file that is made with the first failure, after which it works; default none: it fails each time. */
  readonly once?: string;
}

/** The process of a device, with a fault: for what cannot be caused without a device to be broken. */
const fault = JSON.parse(process.env.DEVICE_FAULT ?? 'null') as DeviceFault | null;
const { device } = JSON.parse(process.argv[2]!) as LaneData;

/** Whether it is to fail now. */
function isDue({ once }: DeviceFault): boolean {
  if (once === undefined) return true;
  try {
    closeSync(openSync(once, 'wx'));
    return true;
  } catch {
    return false;
  }
}

if (fault?.device === device && fault.how === 'start' && isDue(fault)) process.exit(3);
await import('../../model/device-process.js');
if (fault?.device === device) {
  let batches = 0;
  process.on('message', ({ name }: { readonly name?: string }) => {
    if (name !== 'predict' || ++batches !== fault.batch || !isDue(fault)) return;
    if (fault.how === 'exit') process.kill(process.pid, 'SIGKILL');
    else for (;;); // it neither responds nor ends, as a driver that waits for its device
  });
}
