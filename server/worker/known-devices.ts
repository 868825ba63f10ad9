import type { Logger } from 'pino';
import type { Environment } from '../../model/environment.js';
import type { DeviceState } from '../../model/lanes.js';
import type { WorkerDevices } from './methods.js';

/** What the server knows of the devices of its worker. */
export class KnownDevices {
  #known: WorkerDevices | null = null;

  /** @param own everything that results depend on beside models and images; null where it is for the worker to say */
  constructor(
    private readonly own: Environment | null,
    private readonly log: Logger,
  ) {}

  /** Everything that results depend on beside models and images; null until a worker has said on what it computes. */
  get environment(): Environment | null {
    return this.own ?? this.#known?.environment ?? null;
  }

  /** The devices that compute nothing at present. */
  get failed(): readonly DeviceState[] {
    return this.#known?.devices.filter(({ failure }) => failure !== null) ?? [];
  }

  /** The devices as labels of metrics state them: one for each lane, or one for all. */
  get names(): readonly string[] {
    const devices = this.#known?.devices ?? [];
    if (devices.length > 0) return devices.map(({ name }) => name);
    const { engine = 'onnx', provider = 'cpu' } = this.environment ?? {};
    return [engine === 'onnx' ? provider : engine];
  }

  /** What a person should know of them, in lines; none where the CPU was requested and is used. */
  get lines(): readonly string[] {
    if (!this.#known) return [];
    const { devices, fallback, environment } = this.#known;
    if (fallback !== null) return [`${environment.provider}: no GPU is used: ${fallback}`];
    return devices.map(({ name, failure }) => `${name}: ${failure ?? 'ok'}`);
  }

  /** A worker has started, or one of its devices is lost or back. */
  update(known: WorkerDevices): void {
    const { devices, fallback, environment } = known;
    const before = this.#known;
    this.#known = known;
    if (before?.fallback !== fallback || before.environment.provider !== environment.provider) {
      this.log.info({ provider: environment.provider, ...(fallback !== null && { fallback }) }, 'device');
    }
    for (const { name, failure } of devices) {
      const earlier = before?.devices.find((device) => device.name === name)?.failure ?? null;
      if (failure === earlier) continue;
      if (failure === null) this.log.info({ device: name }, 'device is back');
      else this.log.error({ device: name, failure }, 'device lost');
    }
  }
}
