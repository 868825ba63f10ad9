import { isMainThread, parentPort } from 'node:worker_threads';
import { parentProcess, parentThread } from '../../model/engine/channel.js';
import { type CallContext, serve } from '../../model/engine/rpc.js';

/** Methods that the RPC tests call, in a thread and in a process. */
export interface TestMethods {
  add(a: number, b: number): Promise<number>;
  /** Increments each byte; the result is transferred. */
  increment(bytes: Uint8Array, context: CallContext): Promise<Uint8Array>;
  /** Whether the buffer of the last result was detached at this end. */
  isDetached(): Promise<boolean>;
  fail(code: string | null): Promise<never>;
  unclonable(): Promise<unknown>;
  /** Emits 0 up to `to`, exclusively. */
  count(to: number, context: CallContext<number>): Promise<string>;
  /** Emits `started`, and stays pending until cancelled. */
  last(context: CallContext<string>): Promise<string>;
  /** Emits an event of the connection. */
  announce(word: string): Promise<void>;
  exit(code: number): Promise<never>;
}

let result = new Uint8Array();
const untilAborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

const methods: TestMethods = {
  add: async (a, b) => a + b,
  async increment(bytes, { transfer }) {
    result = bytes.map((byte) => byte + 1);
    transfer(result.buffer as ArrayBuffer);
    return result;
  },
  isDetached: async () => result.buffer.byteLength === 0,
  async fail(code) {
    throw code === null ? new Error('secret') : Object.assign(new Error('refused'), { code });
  },
  unclonable: async () => () => undefined,
  async count(to, { emit }) {
    for (let i = 0; i < to; i++) emit(i);
    return 'counted';
  },
  async last({ signal, emit }) {
    emit('started');
    return untilAborted(signal);
  },
  announce: async (word) => server.emit(word),
  exit: async (code) => process.exit(code),
};

const isSerial = process.argv.includes('serial');
const channel = isMainThread ? parentProcess() : parentThread(parentPort!);
const server = serve<TestMethods, string>(channel, methods, {
  isSerial,
  failureOf: (error) => {
    const { code = 'internal', message } = error as Error & { readonly code?: string };
    return { code, message: typeof code === 'number' || code === 'internal' ? 'an internal error' : message };
  },
});
