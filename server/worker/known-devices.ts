import type { Logger } from 'pino';
import { computingDevice, type DeviceFacts, type Environment } from '../../model/devices/environment.js';
import type { DeviceState } from '../../model/engine/lanes.js';
import type { EngineRequest } from '../../model/engine/open-engine.js';
import { deviceText, outcomeText, tuningText, unusedText, versionsText } from '../pipeline/device-text.js';
import type { TestedGraph, TunedModel, WorkerDevices } from './methods.js';

const RESTARTED = 'its worker process is started again';

/** A device as metrics state it. */
export interface KnownDevice {
  /** Such as `cuda:0`, or `cpu` for the threads of the worker. */
  readonly device: string;
  /** Why it computes nothing at present; null where it does. */
  readonly failure: string | null;
  readonly facts: DeviceFacts;
}

/** What the server knows of the devices of its worker. */
export class KnownDevices {
  #known: WorkerDevices | null = null;
  /** What the worker has said of each model since it started, as lines. */
  readonly #models = new Map<string, string>();
  /** Whether there is no worker at present, and so no device. */
  #isLost = false;

  /**
   * @param own everything that results depend on beside models and images; null where it is for the worker to say
   * @param requested the engine
   */
  constructor(
    private readonly own: Environment | null,
    private readonly log: Logger,
    private readonly requested: Pick<EngineRequest, 'provider' | 'precision' | 'cpuOptions'>,
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
    const lost = this.#isLost ? RESTARTED : null;
    if (devices.length === 0) return [{ device: this.names[0]!, failure: lost, facts }];
    return devices.map(({ name, failure, environment: own }) => {
      return { device: name, failure: lost ?? failure, facts: own ? computingDevice(own) : facts };
    });
  }

  /** Why no image can be computed at present; null where one can, or where no worker has said on what it computes. */
  get unready(): string | null {
    const { accounts } = this;
    const isDown = accounts.length > 0 && accounts.every(({ failure }) => failure !== null);
    return isDown ? 'no device computes at present' : null;
  }

  /** What a person should know of them, in lines: each device, why it is no GPU, libraries, and models that were used. */
  get lines(): readonly string[] {
    if (!this.#known) return [];
    const { fallback, environment } = this.#known;
    return [
      ...this.accounts.map(
        ({ device, failure, facts }) => `${device}: ${failure ?? `ok (${deviceText(facts)})`}`,
      ),
      ...(fallback === null ? [] : [`no GPU is used: ${fallback}`]),
      ...(this.#unused === null ? [] : [`not used: ${this.#unused}`]),
      versionsText(environment.versions),
      ...[...this.#models.values()].sort(),
    ];
  }

  /** What was requested, and what `auto` has chosen does not use; null for nothing. */
  get #unused(): string | null {
    if (this.requested.provider !== 'auto' || !this.#known) return null;
    return unusedText(this.requested, this.#known.environment.gpu !== undefined);
  }

  /** The tiles of a model were tested. */
  test({ model, output, symmetries, threshold, ...outcome }: TestedGraph): void {
    const graph = [
      model,
      output,
      ...(symmetries ? ['with tta'] : []),
      ...(threshold ? ['by a threshold'] : []),
    ].join(' ');
    this.#models.set(graph, `${graph}: ${outcomeText(outcome)}`);
  }

  /** How a model is computed was chosen. */
  choose({ model, ...choice }: TunedModel): void {
    this.#models.set(model, `${model}: ${tuningText(choice)}`);
  }

  /** The worker is lost: its devices compute nothing until the next one has started. */
  lose(): void {
    this.#isLost = true;
    this.#models.clear();
  }

  /**
   * A worker has started, or one of its devices is lost or back.
   * @returns the names of those that are lost now
   */
  update(known: WorkerDevices): string[] {
    const { devices, fallback, environment } = known;
    const before = this.#known;
    this.#known = known;
    this.#isLost = false;
    if (before?.fallback !== fallback || before.environment.provider !== environment.provider) {
      const { provider } = environment;
      const { precision } = computingDevice(environment);
      const reasons = {
        ...(fallback !== null && { fallback }),
        ...(this.#unused && { unused: this.#unused }),
      };
      this.log.info({ provider, precision, ...reasons }, 'device');
    }
    const lost: string[] = [];
    for (const { name, failure } of devices) {
      const earlier = before?.devices.find((device) => device.name === name)?.failure ?? null;
      if (failure === earlier) continue;
      if (failure === null) {
        this.log.info({ device: name }, 'device is back');
        continue;
      }
      this.log.error({ device: name, failure }, 'device lost');
      if (earlier === null) lost.push(name);
    }
    return lost;
  }
}
