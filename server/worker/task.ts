import type { Connection } from '../../model/engine/rpc.js';
import type { CallName, WorkerMethods } from './methods.js';

interface Settle {
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
}

/** A job or a call, until its promise settles: it may be dispatched to one worker after another. */
export class Task {
  isDispatched = false;
  /** Workers that exited with it, and may have done so because of it. */
  exits = 0;
  #timer: NodeJS.Timeout | null = null;

  /** @param id a job's own, or that of a call */
  constructor(
    readonly id: string,
    readonly name: 'run' | CallName,
    readonly start: (connection: Connection<WorkerMethods>) => Promise<unknown>,
    private readonly settle: Settle,
  ) {}

  /** Whether it is a call that always uses the device; a plan does only where a graph has not been tested before. */
  get isDeviceCall(): boolean {
    return this.name === 'estimate';
  }

  /** Whether it may kill a worker. For a plan, too, a model may have been loaded and tested. */
  get isSuspect(): boolean {
    return this.name !== 'preview';
  }

  /** Calls back if it is still in its worker after `ms`; an earlier limit stays. */
  limit(ms: number, onElapsed: () => void): void {
    this.#timer ??= setTimeout(onElapsed, ms);
  }

  requeue(): void {
    this.#unlimit();
    this.isDispatched = false;
  }

  resolve(value: unknown): void {
    this.#unlimit();
    this.settle.resolve(value as never);
  }

  reject(error: unknown): void {
    this.#unlimit();
    this.settle.reject(error);
  }

  #unlimit(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
