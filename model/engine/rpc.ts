import type { Transferable } from 'node:worker_threads';
import { RemoteError } from '../errors.js';
import type { Channel, Exit } from './channel.js';

/**
 * Calls between threads and between processes. The methods of a far end are declared as an interface of async
 * functions, which its handlers implement; a `CallContext` is their last parameter, where they need it.
 *
 *     interface Methods { count(to: number, context: CallContext<number>): Promise<string> }
 *
 *     serve<Methods>(parentThread(parentPort!), { count: async (to, { emit }) => … }, { failureOf });
 *     await new Connection<Methods>(workerThread(worker), { onExit }).call('count', [3], { onEvent });
 */

/** What a handler has of its call besides the arguments. */
export interface CallContext<Event = never> {
  /** Aborted when the caller cancels. */
  readonly signal: AbortSignal;
  /** Sends an event of this call; the caller has it before the result. */
  readonly emit: (event: Event) => void;
  /** Moves buffers with the result, where the channel can. */
  readonly transfer: (...buffers: Transferable[]) => void;
}

/** An error as it crosses: a stable code, and what may be read of it. */
export interface Failure {
  readonly code: string;
  readonly message: string;
}

type Method = (...args: never[]) => Promise<unknown>;
/** A method's parameters without its context. */
export type ArgsOf<M> = M extends (...args: infer Args) => unknown
  ? Args extends [...infer Sent, CallContext<infer _>]
    ? Sent
    : Args
  : never;
/** The events of a method's calls. */
export type EventOf<M> = M extends (...args: infer Args) => unknown
  ? Args extends [...unknown[], CallContext<infer Event>]
    ? Event
    : never
  : never;
export type ResultOf<M> = M extends (...args: never[]) => Promise<infer Result> ? Result : never;

type ToServer =
  | { readonly type: 'call'; readonly id: number; readonly name: string; readonly args: readonly unknown[] }
  | { readonly type: 'cancel'; readonly id: number };

type ToClient =
  | { readonly type: 'result'; readonly id: number; readonly value: unknown }
  | ({ readonly type: 'error'; readonly id: number } & Failure)
  | { readonly type: 'call-event'; readonly id: number; readonly event: unknown }
  | { readonly type: 'event'; readonly event: unknown };

export interface ConnectionOptions<Event> {
  /** Called with the far end's events that belong to no call. */
  readonly onEvent?: (event: Event) => void;
  /** Called once, when the far end has exited: calls that are pending, and later ones, reject with what it returns. */
  readonly onExit: (exit: Exit) => Error;
}

export interface CallOptions<Event> {
  /**
   * Cancels the call: its handler's signal aborts, and the promise settles as the handler does. A signal that is
   * aborted already rejects with its reason, and nothing is sent.
   */
  readonly signal?: AbortSignal;
  /** Buffers to move with the arguments instead of copying them, where the channel can. Default none. */
  readonly transfer?: readonly Transferable[];
  /** Called with the events of this call. */
  readonly onEvent?: (event: Event) => void;
}

interface PendingCall {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
  readonly onEvent: ((event: never) => void) | undefined;
}

/** The calling end of a channel. */
export class Connection<Methods, Event = never> {
  /** Resolves once the far end has exited, or is lost. */
  readonly exited: Promise<void>;
  readonly #pending = new Map<number, PendingCall>();
  #nextId = 0;
  #lost: Error | null = null;
  #resolveExited = () => {};

  constructor(
    private readonly channel: Channel,
    private readonly options: ConnectionOptions<Event>,
  ) {
    this.exited = new Promise((resolve) => {
      this.#resolveExited = resolve;
    });
    channel.listen(
      (message) => this.#receive(message as ToClient),
      (exit) => this.lose(exit),
    );
  }

  /** Takes the far end for exited, though it may not be: calls reject, and what it still sends is ignored. */
  lose(exit: Exit): void {
    if (this.#lost) return;
    this.#lost = this.options.onExit(exit);
    for (const { reject } of this.#pending.values()) reject(this.#lost);
    this.#resolveExited();
  }

  /** @throws RemoteError with the code of what the handler threw; the error of `onExit` */
  call<Name extends keyof Methods & string>(
    name: Name,
    args: ArgsOf<Methods[Name]>,
    { signal, transfer, onEvent }: CallOptions<EventOf<Methods[Name]>> = {},
  ): Promise<ResultOf<Methods[Name]>> {
    if (this.#lost) return Promise.reject(this.#lost);
    if (signal?.aborted) return Promise.reject(signal.reason);
    const id = this.#nextId++;
    const cancel = () => this.channel.post({ type: 'cancel', id } satisfies ToServer);
    signal?.addEventListener('abort', cancel, { once: true });
    return new Promise<ResultOf<Methods[Name]>>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, onEvent });
      const call = { type: 'call', id, name, args: args as readonly unknown[] } satisfies ToServer;
      this.channel.post(call, transfer);
    }).finally(() => {
      signal?.removeEventListener('abort', cancel);
      this.#pending.delete(id);
    });
  }

  #receive(message: ToClient): void {
    if (this.#lost) return;
    if (message.type === 'event') {
      this.options.onEvent?.(message.event as Event);
      return;
    }
    const call = this.#pending.get(message.id);
    switch (message.type) {
      case 'result':
        call?.resolve(message.value as never);
        break;
      case 'error':
        call?.reject(new RemoteError(message.code, message.message));
        break;
      case 'call-event':
        call?.onEvent?.(message.event as never);
        break;
    }
  }
}

export interface ServeOptions {
  /** What the caller learns of an error. What was not foreseen is logged here, for it does not cross. */
  readonly failureOf: (error: unknown) => Failure;
  /** Whether calls run one after the other, in the order of their arrival. Default false: all at once. */
  readonly isSerial?: boolean;
}

/**
 * The serving end of a channel.
 *
 * @returns `emit`, for events that belong to no call
 */
export function serve<Methods extends object, Event = never>(
  channel: Channel,
  handlers: Methods,
  { failureOf, isSerial = false }: ServeOptions,
): { readonly emit: (event: Event) => void } {
  const post = (message: ToClient, transfer?: readonly Transferable[]) => channel.post(message, transfer);
  const methods = new Map<string, Method>(Object.entries(handlers));
  const cancellations = new Map<number, AbortController>();
  let last: Promise<unknown> = Promise.resolve();

  async function handle(id: number, name: string, args: readonly unknown[], signal: AbortSignal) {
    const transfer: Transferable[] = [];
    const context: CallContext<unknown> = {
      signal,
      emit: (event) => post({ type: 'call-event', id, event }),
      transfer: (...buffers) => void transfer.push(...buffers),
    };
    try {
      signal.throwIfAborted(); // cancelled while it waited
      const value = await methods.get(name)!(...([...args, context] as never[]));
      post({ type: 'result', id, value }, transfer);
    } catch (error) {
      post({ type: 'error', id, ...failureOf(error) });
    } finally {
      cancellations.delete(id);
    }
  }

  channel.listen(
    (received) => {
      const message = received as ToServer;
      if (message.type === 'cancel') {
        cancellations.get(message.id)?.abort(new RemoteError('cancelled', 'the call was cancelled'));
        return;
      }
      const { id, name, args } = message;
      const controller = new AbortController();
      cancellations.set(id, controller);
      const run = () => handle(id, name, args, controller.signal);
      if (isSerial) last = last.then(run);
      else void run();
    },
    () => undefined,
  );
  return { emit: (event) => post({ type: 'event', event }) };
}
