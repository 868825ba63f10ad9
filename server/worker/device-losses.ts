import type { WorkerDevices, WorkerOptions } from './methods.js';

/** Workers that may be lost with a device, in a row, before `auto` avoids it. */
const MAX_LOSSES = 2;

/** Counts the workers that were lost with their device: `auto` goes on without one that starts, but does not compute. */
export class DeviceLosses {
  #devices: WorkerDevices['devices'] = [];
  #losses = 0;
  #reason: string | null = null;

  /** A worker has said how its devices are. */
  update({ devices }: WorkerDevices): void {
    this.#devices = devices;
  }

  /**
   * A worker was lost.
   * @param isEarly whether that was soon after its start
   */
  add(isEarly: boolean): void {
    const failed = this.#devices.find(({ failure }) => failure !== null);
    this.#losses = failed && isEarly ? this.#losses + 1 : 0;
    if (failed && this.#losses >= MAX_LOSSES) this.#reason = `${failed.name} failed repeatedly`;
  }

  /** What the next worker is started with. */
  optionsOf(options: WorkerOptions): WorkerOptions {
    const { engine } = options.modelHost;
    if (this.#reason === null || engine.provider !== 'auto') return options;
    return {
      ...options,
      modelHost: { ...options.modelHost, engine: { ...engine, avoidGpu: this.#reason } },
    };
  }
}
