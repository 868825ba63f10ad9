import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { DeviceFacts, Environment } from '../../model/devices/environment.js';
import type { LaneData, PredictRequest } from '../../model/engine/engine-methods.js';

/** How a device fails, as the environment of its process states it in `DEVICE_FAULT`, in JSON. */
export interface DeviceFault {
  /** The index of the device. */
  readonly device: number;
  /**
   * What it does: its process ends when it is started, or in a call; or it hangs there, and may be ended; or it is stuck,
   * and cannot be, on a machine as in `fake-machine.ts`; or this call fails; or it is broken: this call fails, and whatever
   * its process computes after it.
   */
  readonly how: 'start' | 'exit' | 'hang' | 'stuck' | 'fail' | 'break';
  /** The call in which it fails. Default `predict`. */
  readonly call?: string;
  /** Which of these calls, from 1. Default the first. */
  readonly batch?: number;
  /** Of batches, only those whose tiles are at least this wide, in px, are counted. Default all. */
  readonly width?: number;
  /** A file that is made with the first failure, of its process's id, after which it works. Default none: it fails each time. */
  readonly once?: string;
}

interface Call {
  readonly type: 'call';
  readonly id: number;
  readonly name: string;
  readonly args: readonly unknown[];
}
type Message = LaneData | Call | { readonly type: 'cancel' };
interface Reply {
  readonly type: string;
  readonly id: number;
  readonly value?: Partial<Environment>;
}

/**
 * Gives the process of a device a fault: for what cannot be caused without a device to be broken. One of CUDA is the CPU
 * under another name, which nothing else identifies. To be imported before its module, as `fake-machine.ts` does.
 */
const fault = JSON.parse(process.env.DEVICE_FAULT ?? 'null') as DeviceFault | null;
let isFaulty = false;
let counted = 0;
/** The calls that the device has, in their order: it runs the first. */
const calls: number[] = [];
/** The call in which it fails. */
let last: number | null = null;
let isCuda = false;
/** Whether nothing is computed any more. */
let isBroken = false;
/** What it is tried by once a call has failed. */
let trial: number | null = null;
/** Of the engine, which identifies the GPU: nothing else does. */
let run: string = randomUUID();

process.on('newListener', precede);
const send = process.send!.bind(process);
process.send = (message: Reply, ...rest: never[]) => {
  const isReply = message.type === 'result' || message.type === 'error';
  setImmediate(failIfDue);
  const isFailure = isReply && message.id === last;
  // it was computed before those before it were answered: it fails now
  if (isFailure && !answers(fault!)) return true;
  if (isReply) calls.splice(calls.indexOf(message.id), 1);
  if (isFailure) isBroken = fault!.how === 'break';
  if (isFailure || (isReply && isBroken)) return send(failureOf(message), ...rest);
  return send(isCuda ? asOfCuda(message) : message, ...rest);
};

/** Receives each message before the process itself does. */
function precede(event: string): void {
  if (event !== 'message') return;
  process.off('newListener', precede);
  process.on('message', receive as () => void);
}

function receive(message: Message): void {
  if (!('type' in message)) {
    isFaulty = fault?.device === message.device;
    isCuda = message.provider === 'cuda';
    run = message.run ?? run;
    if (isCuda) Object.assign(message, { provider: 'cpu' });
    if (isFaulty && fault!.how === 'start' && isFirst(fault!)) process.exit(3);
  } else if (message.type === 'call') {
    calls.push(message.id);
    if (message.name === 'tryAgain') trial = message.id;
    if (isFaulty && isCounted(message) && ++counted === (fault!.batch ?? 1) && isFirst(fault!))
      last = message.id;
    failIfDue();
  }
}

function isCounted({ name, args }: Call): boolean {
  if (name !== (fault!.call ?? 'predict')) return false;
  return fault!.width === undefined || (args as [PredictRequest])[0].batch.width >= fault!.width;
}

/** Fails once the calls before the one in which it does are answered. */
function failIfDue(): void {
  if (last === null || calls[0] !== last || answers(fault!)) return;
  if (fault!.how === 'exit') process.kill(process.pid, 'SIGKILL');
  else for (;;); // it neither responds nor ends, as a driver that waits for its device
}

/** Whether a call that fails is answered: by its error. */
const answers = ({ how }: DeviceFault): boolean => how === 'fail' || how === 'break';

/** What a call is answered with that fails. */
function failureOf({ id }: Reply) {
  const code = id === trial ? 'device-unavailable' : 'graph-failed';
  return { type: 'error', id, code, message: 'CUDA failure 700: an illegal memory access was encountered' };
}

/** Whether it has not failed before; always where each time is one. */
function isFirst({ once }: DeviceFault): boolean {
  if (once === undefined) return true;
  try {
    writeFileSync(once, String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    return false;
  }
}

/** What the CPU says of itself, as a GPU would. */
function asOfCuda(message: Reply): Reply {
  if (message.value?.instructionSet === undefined) return message;
  const gpu: DeviceFacts = { name: 'Fake GPU', driver: null, memoryBytes: null, precision: 'fp32' };
  return { ...message, value: { ...message.value, provider: 'cuda', gpu, run } };
}
