import { writeFileSync } from 'node:fs';
import type { LaneData, PredictRequest } from '../../model/engine-methods.js';
import type { Environment } from '../../model/environment.js';

/** How a device fails, as the environment of its process states it in `DEVICE_FAULT`, in JSON. */
export interface DeviceFault {
  /** The index of the device. */
  readonly device: number;
  /**
   * What it does: its process ends when it is started, or in a call; or it hangs there, and may be ended; or it is stuck,
   * and cannot be, on a machine as in `fake-machine.ts`.
   */
  readonly how: 'start' | 'exit' | 'hang' | 'stuck';
  /** The call in which it fails. Default `predict`. */
  readonly call?: string;
  /** Which of these calls, from 1. Default the first. */
  readonly batch?: number;
  /** Of batches, only those whose tiles are at least this wide, in px, are counted. Default all. */
  readonly width?: number;
  /** A file that is made with the first failure, of its process's id, after which it works. Default none: it fails each time. */
  readonly once?: string;
}

type Message =
  | LaneData
  | { readonly type: 'call'; readonly id: number; readonly name: string; readonly args: readonly unknown[] };

/**
 * Gives the process of a device a fault: for what cannot be caused without a device to be broken. One of CUDA is the CPU
 * under another name. To be imported before its module, as `fake-machine.ts` does.
 */
const fault = JSON.parse(process.env.DEVICE_FAULT ?? 'null') as DeviceFault | null;
let isFaulty = false;
let counted = 0;

process.on('newListener', precede);

/** Receives each message before the process itself does. */
function precede(event: string): void {
  if (event !== 'message') return;
  process.off('newListener', precede);
  process.on('message', receive as () => void);
}

function receive(message: Message): void {
  if (!('type' in message)) {
    isFaulty = fault?.device === message.device;
    if (message.provider === 'cuda') pretend(message);
    if (isFaulty && fault!.how === 'start' && isDue(fault!)) process.exit(3);
  } else if (isFaulty && isCounted(message) && ++counted === (fault!.batch ?? 1) && isDue(fault!)) {
    if (fault!.how === 'exit') process.kill(process.pid, 'SIGKILL');
    else for (;;); // it neither responds nor ends, as a driver that waits for its device
  }
}

function isCounted(message: Message): boolean {
  if (!('type' in message) || message.type !== 'call' || message.name !== (fault!.call ?? 'predict'))
    return false;
  return fault!.width === undefined || (message.args as [PredictRequest])[0].batch.width >= fault!.width;
}

/** Whether it is to fail now. */
function isDue({ once }: DeviceFault): boolean {
  if (once === undefined) return true;
  try {
    writeFileSync(once, String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    return false;
  }
}

/** Has the CPU compute for a GPU, and say that it is one. */
function pretend(data: LaneData): void {
  Object.assign(data, { provider: 'cpu' });
  const send = process.send!.bind(process);
  process.send = (message: { readonly value?: Partial<Environment> }, ...rest: never[]) => {
    if (message.value?.instructionSet === undefined) return send(message, ...rest);
    const gpu = { name: 'Fake GPU', driver: null, memoryBytes: null, precision: 'fp32' };
    return send({ ...message, value: { ...message.value, provider: 'cuda', gpu } }, ...rest);
  };
}
