import { parentPort, type Transferable, Worker } from 'node:worker_threads';
import { EngineLostError, RemoteError } from './errors.js';

/** What a thread answers: a value, and what of it changes hands instead of being copied. */
export interface Reply {
  readonly value: unknown;
  readonly transfer?: readonly Transferable[];
}
export type Handlers = Readonly<Record<string, (argument: never) => Promise<Reply>>>;

interface Call {
  readonly id: number;
  readonly method: string;
  readonly argument: unknown;
}
type Answer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: { readonly code?: string; readonly message: string } };

/** The near side of a thread that answers calls. */
export class ThreadClient {
  readonly #worker: Worker;
  readonly #calls = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #next = 0;
  #lost: EngineLostError | null = null;

  constructor(script: URL, workerData: unknown) {
    this.#worker = new Worker(script, { workerData });
    this.#worker.on('message', (answer: Answer) => {
      const call = this.#calls.get(answer.id);
      this.#calls.delete(answer.id);
      if ('value' in answer) call?.resolve(answer.value as never);
      else call?.reject(new RemoteError(answer.error.code ?? 'engine-failed', answer.error.message));
    });
    this.#worker.on('error', (error) => this.#lose(`the engine's thread failed: ${error.message}`));
    this.#worker.on('exit', () => this.#lose('the engine is closed'));
  }

  call<Value>(method: string, argument: unknown, transfer: readonly Transferable[] = []): Promise<Value> {
    if (this.#lost) return Promise.reject(this.#lost);
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#calls.set(id, { resolve, reject });
      this.#worker.postMessage({ id, method, argument } satisfies Call, [...transfer]);
    });
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  #lose(why: string): void {
    this.#lost ??= new EngineLostError(why);
    for (const { reject } of this.#calls.values()) reject(this.#lost);
    this.#calls.clear();
  }
}

/** The far side: answers calls one after the other, in order of arrival. */
export function serveCalls(handlers: Handlers): void {
  let last: Promise<unknown> = Promise.resolve();
  const answer = async ({ id, method, argument }: Call) => {
    try {
      const { value, transfer = [] } = await handlers[method]!(argument as never);
      parentPort!.postMessage({ id, value } satisfies Answer, [...transfer]);
    } catch (error) {
      const { code, message } = error as Error & { code?: string };
      parentPort!.postMessage({
        id,
        error: { message, ...(code !== undefined && { code }) },
      } satisfies Answer);
    }
  };
  parentPort!.on('message', (call: Call) => {
    last = last.then(() => answer(call));
  });
}
