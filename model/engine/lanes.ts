import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { deviceName } from '../devices/device.js';
import type { Environment } from '../devices/environment.js';
import { DeviceUnavailableError, EngineLostError } from '../errors.js';
import type { LaneData, LaneOptions } from './engine-methods.js';
import { Lane } from './lane.js';

export interface LanesOptions extends LaneOptions {
  /**
   * Devices of the provider, each run by a process of its own in one lane. Default none: lanes are threads of this
   * process, and share the CPU.
   */
  readonly devices?: readonly number[];
  /** Called when a device is lost, fails to start, or is back. */
  readonly onDevice?: (state: DeviceState) => void;
}

/** What is known of a device. */
export interface DeviceState {
  /** Such as `cuda:0`. */
  readonly name: string;
  /** Null until it has started. */
  readonly environment: Environment | null;
  /** Why it computes nothing at present; null where it does. */
  readonly failure: string | null;
}

/** From the loss of a device to its start: doubled after each failure, up to the last; in ms. */
const RESTART_MS = { first: 500, last: 30_000 } as const;
/** Failures to start after which a device is no longer waited for, where all others have failed as often. */
const MAX_FAILURES = 3;

/** How long a device may take to start, and to compute something, in ms. */
const START_MS = 120_000;

/** The lanes of an engine. Those of devices are started again when they end. */
export class Lanes {
  readonly #lanes: Lane[] = [];
  readonly #states = new Map<number, DeviceState>();
  readonly #recoveries = new Map<number, Promise<void>>();
  /** Of devices that are lost: how often they have failed to start since then. */
  readonly #failures = new Map<number, number>();
  readonly #closing = new AbortController();

  constructor(private readonly options: LanesOptions) {}

  /** Whether each lane is a device in a process of its own. */
  get areDevices(): boolean {
    return this.#devices.length > 0;
  }

  /** Lanes that were started; those of lost devices included. */
  get started(): readonly Lane[] {
    return this.#lanes.filter((lane) => lane !== undefined);
  }

  /** What is known of the devices; none where lanes are threads of this process. */
  get states(): readonly DeviceState[] {
    return this.#devices.map((_, index) => this.#stateOf(index));
  }

  /**
   * The first that works: it loads every model, and trains. Where all devices are lost, that which is back first.
   * @throws EngineLostError where none is left
   */
  async working(): Promise<Lane> {
    if (!this.areDevices) return this.at(0);
    const works = (lane: Lane | undefined, index: number) => lane !== undefined && this.#works(index);
    const known = this.#lanes.find(works);
    if (known) return known;
    await Promise.race(this.#devices.map((_, index) => this.recover(index))); // one rejects where none is left
    return this.#lanes.find(works) ?? this.at(0);
  }

  /** A lane, which is started where it was not. */
  at(index: number): Lane {
    this.#lanes[index] ??= this.#start(index);
    return this.#lanes[index];
  }

  /**
   * Starts all devices, and tries each. Those that fail are in `states`.
   * @throws DeviceUnavailableError (by `code`) where none works
   */
  async open(): Promise<void> {
    const opened = await Promise.allSettled(this.#devices.map((_, index) => this.#open(index)));
    const failed = opened.filter((outcome) => outcome.status === 'rejected');
    if (this.areDevices && failed.length === opened.length) throw failed[0]!.reason;
    for (const [index, { status }] of opened.entries()) if (status === 'rejected') this.#recoverSoon(index);
  }

  /** Until when a device computes nothing, since it is lost; null where it works. */
  lost(index: number): Promise<void> | null {
    return !this.areDevices || this.#works(index) ? null : this.recover(index);
  }

  /**
   * Ends a device that hangs: its calls reject, and it is started again once its process has ended.
   * @param reason what it did, for `states` and the errors of its calls
   */
  async end(index: number, reason: string): Promise<void> {
    if (this.#works(index)) this.#update(index, { failure: `${reason}, and is started again` });
    await this.at(index)
      .end(reason)
      .catch(({ message }: Error) => this.#update(index, { failure: message }));
  }

  /**
   * Starts a lost device again, and again where that fails, and resolves when it works.
   * @throws EngineLostError where no device is left: each is lost, and has failed repeatedly
   */
  recover(index: number): Promise<void> {
    const known = this.#recoveries.get(index);
    if (known) return known;
    if (this.#works(index)) return Promise.resolve(); // what was lost was there before
    const recovery = this.#recover(index).finally(() => this.#recoveries.delete(index));
    this.#recoveries.set(index, recovery);
    return recovery;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.started.map((lane) => lane.close()));
  }

  /** @throws what the system does where it starts no process */
  #start(index: number): Lane {
    return new Lane(this.#dataOf(index), this.areDevices);
  }

  async #recover(index: number): Promise<void> {
    const { signal } = this.#closing;
    if (this.#stateOf(index).failure === null) {
      this.#update(index, { failure: `${this.#lanes[index]?.reason ?? 'it ended'}, and is started again` });
    }
    this.#failures.set(index, 0);
    let waitMs: number = RESTART_MS.first;
    for (;;) {
      await delay(waitMs, undefined, { signal }).catch(() => undefined);
      try {
        await this.#lanes[index]?.end();
        if (signal.aborted) throw new EngineLostError('the engine is closed');
        this.#lanes[index] = this.#start(index); // where that throws, there is the one that has ended
        await this.#open(index);
        this.#failures.delete(index);
        return;
      } catch (error) {
        if (signal.aborted) throw error;
        const { message } = error as Error;
        this.#update(index, { failure: message });
        this.#failures.set(index, this.#failures.get(index)! + 1);
        if (this.#isNoneLeft) throw new EngineLostError(message, { cause: error });
        waitMs = Math.min(2 * waitMs, RESTART_MS.last);
      }
    }
  }

  /** Recovers a device that nobody waits for, so that it is back when it is needed. */
  #recoverSoon(index: number): void {
    if (!this.#closing.signal.aborted) this.recover(index).catch(() => undefined); // it is in `states`
  }

  /**
   * Starts a device and has it compute something: `environment` does.
   * @throws DeviceUnavailableError
   */
  async #open(index: number): Promise<void> {
    const { name } = this.#stateOf(index);
    const timeout = new AbortController();
    const late = delay(START_MS, undefined, timeout).then(() => {
      throw new DeviceUnavailableError(`${name} did not start within ${START_MS / 1000} s`);
    });
    try {
      const lane = this.at(index);
      const environment = (await Promise.race([lane.call('environment', []), late])) as Environment;
      const other = this.states.find((state) => state.environment !== null);
      if (other && !isDeepStrictEqual(environment, other.environment)) {
        throw new DeviceUnavailableError(
          other.name === name
            ? `${name} is not what it was before: when a tile was computed would be seen in results`
            : `${name} is not like ${other.name}: which of them computed a tile would be seen in results`,
        );
      }
      this.#update(index, { environment, failure: null });
      void lane.ended.then(() => this.#recoverSoon(index));
    } catch (cause) {
      await this.#lanes[index]?.end().catch(() => undefined); // where it is started again, it is reported then
      const { message } = cause as Error;
      this.#update(index, { failure: message });
      throw new DeviceUnavailableError(message, { cause });
    } finally {
      timeout.abort();
      late.catch(() => undefined);
    }
  }

  get #isNoneLeft(): boolean {
    const hasFailed = (index: number) => (this.#failures.get(index) ?? 0) >= MAX_FAILURES;
    return this.#devices.every((_, index) => !this.#works(index) && hasFailed(index));
  }

  /** What a lane's thread or process gets: nothing else of the engine's options concerns it. */
  #dataOf(index: number): LaneData {
    const { provider, tensorflow, threads, precision, run, cudaFolder, heapMb, diagnostics } = this.options;
    return {
      provider,
      threads,
      lane: index,
      device: this.#devices[index] ?? 0,
      ...(tensorflow && { tensorflow }),
      ...(precision && { precision }),
      ...(run !== undefined && { run }),
      ...(cudaFolder !== undefined && { cudaFolder }),
      ...(heapMb !== undefined && { heapMb }),
      ...(diagnostics && { diagnostics }),
    };
  }

  #works(index: number): boolean {
    return this.#lanes[index]?.isLost === false && this.#stateOf(index).failure === null;
  }

  get #devices(): readonly number[] {
    return this.options.devices ?? [];
  }

  #stateOf(index: number): DeviceState {
    const name = deviceName(this.options.provider, this.#devices[index]!);
    return this.#states.get(index) ?? { name, environment: null, failure: null };
  }

  #update(index: number, change: Partial<DeviceState>): void {
    const before = this.#stateOf(index);
    const state = { ...before, ...change };
    this.#states.set(index, state);
    if (state.failure !== before.failure) this.options.onDevice?.(state);
  }
}
