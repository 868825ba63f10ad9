import type { Logger } from 'pino';
import { computingDevice, type DeviceFacts, type Environment, gpuText } from '../../model/environment.js';
import type { DeviceState } from '../../model/lanes.js';
import type { WorkerDevices } from './methods.js';

/** A device as metrics state it. */
export interface KnownDevice {
  /** Such as `cuda:0`, or `cpu` for the threads of the worker. */
  readonly device: string;
  readonly isUp: boolean;
  readonly facts: DeviceFacts;
}

/** What the server knows of the devices of its worker. */
export class KnownDevices {
  #known: WorkerDevices | null = null;
  /** Whether there is no worker at present, and so no device. */
  #isLost = false;

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

  /** Each device; none until a worker has said on what it computes. */
  get accounts(): readonly KnownDevice[] {
    if (!this.#known) return [];
    const { devices, environment } = this.#known;
    const facts = computingDevice(environment);
    if (devices.length === 0) return [{ device: this.names[0]!, isUp: !this.#isLost, facts }];
    return devices.map(({ name, failure, environment: own }) => {
      const isUp = failure === null && !this.#isLost;
      return { device: name, isUp, facts: own ? computingDevice(own) : facts };
    });
  }

  /** What a person should know of them, in lines; none where the CPU was requested and is used. */
  get lines(): readonly string[] {
    if (!this.#known) return [];
    const { devices, fallback, environment } = this.#known;
    if (fallback !== null) return [`${environment.provider}: no GPU is used: ${fallback}`];
    if (environment.engine !== 'onnx') return [`${environment.engine} ${environment.provider}: ok`];
    const { gpu } = environment;
    const ok = gpu ? `ok (${gpuText(gpu)})` : 'ok';
    return devices.map(({ name, failure }) => `${name}: ${failure ?? ok}`);
  }

  /** The worker is lost: its devices compute nothing until the next one has started. */
  lose(): void {
    this.#isLost = true;
  }

  /** A worker has started, or one of its devices is lost or back. */
  update(known: WorkerDevices): void {
    const { devices, fallback, environment } = known;
    const before = this.#known;
    this.#known = known;
    this.#isLost = false;
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
