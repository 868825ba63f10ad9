import { basename } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import type { Environment } from '../../model/devices/environment.js';
import type { LaneData, PredictRequest } from '../../model/engine/engine-methods.js';

/** What a GPU is like, as the environment of its process states it in `FAKE_GPU`, in JSON. */
export interface FakeGpu {
  /** Of its memory. Default: not known. */
  readonly memoryBytes?: number;
  /** Px of a batch for which its memory suffices, at most. Default all. */
  readonly fittingPx?: number;
  /** The least tiles of a batch whose last bits differ, if they are at least this wide, in px. Default: all are exact. */
  readonly differs?: { readonly count: number; readonly width: number };
  /** Whether last bits differ from batch to batch. */
  readonly flickers?: boolean;
}

/** For `NODE_OPTIONS`: the processes of GPUs have the CPU under that name, for what depends on a GPU's memory and kernels. */
export const WITH_FAKE_GPU = `--import=${import.meta.url}`;

const {
  memoryBytes = null,
  fittingPx,
  differs,
  flickers,
} = JSON.parse(process.env.FAKE_GPU ?? '{}') as FakeGpu;

type Received = LaneData | { readonly type: string; readonly id: number; readonly args: readonly unknown[] };
type Sent = { readonly id?: number; readonly value?: unknown };

/** Batches so far. */
let computed = 0;
/** Of batches that are being computed, by the ids of their calls. */
const batches = new Map<number, PredictRequest['batch']>();

if (isMainThread && basename(process.argv[1] ?? '') === 'device-process.js') pretend();

function pretend(): void {
  process.on('newListener', precede);
  const send = process.send!.bind(process);
  process.send = (message: Sent, ...rest: never[]) => send(answer(message), ...rest);
}

/** Receives each message before the process itself does. */
function precede(event: string): void {
  if (event !== 'message') return;
  process.off('newListener', precede);
  process.on('message', receive as () => void);
}

function receive(message: Received): void {
  if (!('type' in message)) Object.assign(message, { provider: 'cpu' });
  else if (message.type === 'call' && isBatch(message.args[0]))
    batches.set(message.id, message.args[0].batch);
}

function answer(message: Sent): Sent {
  const batch = batches.get(message.id ?? -1);
  if (isEnvironment(message.value)) return { ...message, value: asGpu(message.value) };
  if (!batch || !(message.value instanceof Uint8Array || message.value instanceof Float32Array))
    return message;
  batches.delete(message.id!);
  const { count, width, height } = batch;
  if (fittingPx !== undefined && count * width * height > fittingPx) {
    return { ...message, type: 'error', code: 'out-of-memory', message: 'no memory' } as Sent;
  }
  computed++;
  if (flickers && message.value instanceof Float32Array) {
    return { ...message, value: message.value.map((value) => value * (1 - (computed % 8) * 2 ** -20)) };
  }
  const isOff = differs && count >= differs.count && width >= differs.width;
  if (!isOff || message.value instanceof Uint8Array) return message;
  return { ...message, value: message.value.map((value) => value * (1 - 2 ** -20)) };
}

const isBatch = (value: unknown): value is PredictRequest =>
  typeof value === 'object' && value !== null && 'batch' in value;

const isEnvironment = (value: unknown): value is Environment =>
  typeof value === 'object' && value !== null && 'instructionSet' in value;

function asGpu(environment: Environment): Environment {
  const gpu = { name: 'Fake GPU', driver: null, memoryBytes, precision: 'fp32' } as const;
  return { ...environment, provider: 'cuda', gpu };
}
