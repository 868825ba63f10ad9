import { hasCode, isLossOfDevice } from '../../model/errors.js';
import type { WorkerDevices, WorkerOptions } from './methods.js';

/** How a worker is to be ended, with which nothing can be computed any more. */
export interface EngineLoss {
  readonly reason: string;
  /**
   * Who may have caused it: what the worker ran, where the engine was threads of it; what its devices were lost with; or
   * nothing that was computed, where a GPU is to blame, which is avoided from now on.
   */
  readonly by: 'any' | 'suspects' | 'gpu';
}

/**
 * What the errors of calls say about the engine of their worker: whether another worker is needed, and whether `auto` is
 * to go on without a GPU that has started, but does not compute.
 */
export class DeviceLosses {
  #hasDevices = false;
  #hadGpu = false;
  /** Why `auto` avoids the GPU; null while it does not. */
  #avoidGpu: string | null = null;

  constructor(private readonly options: WorkerOptions) {}

  /** A worker has said what it computes with. */
  update({ devices }: WorkerDevices): void {
    this.#hasDevices = devices.length > 0;
    this.#hadGpu ||= this.#hasDevices && this.#isAuto;
  }

  /** How to go on after an error of a call: null where it is the call's own. */
  lossBy(error: unknown): EngineLoss | null {
    const { message } = error as Error;
    const isOfGpu = this.#hasDevices && this.#isAuto;
    if (isOfGpu ? !isLossOfDevice(error) : !hasCode(error, 'engine-lost')) return null;
    if (isOfGpu) this.#avoidGpu = message;
    return { reason: message, by: isOfGpu ? 'gpu' : this.#hasDevices ? 'suspects' : 'any' };
  }

  /** What the next worker is started with. */
  get nextOptions(): WorkerOptions {
    const { options } = this;
    const engine = {
      ...options.modelHost.engine,
      ...(this.#hadGpu && { hadGpu: true }),
      ...(this.#avoidGpu !== null && { avoidGpu: this.#avoidGpu }),
    };
    return { ...options, modelHost: { ...options.modelHost, engine } };
  }

  get #isAuto(): boolean {
    return this.options.modelHost.engine.provider === 'auto';
  }
}
