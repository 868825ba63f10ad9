import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { childProcess, type Exit } from '../../model/engine/channel.js';
import { Connection } from '../../model/engine/rpc.js';
import type { RanBatch } from '../../model/scheduler/scheduler.js';
import { childEnvironment } from '../config.js';
import { heapBytes } from '../pipeline/memory.js';
import type { EngineLoss } from './device-losses.js';
import { type WorkerDiagnostics, workerExecArgv } from './diagnostics.js';
import type { WorkerLimits } from './limits.js';
import type { Loss } from './lost.js';
import type {
  TestedGraph,
  TunedModel,
  WorkerDevices,
  WorkerEvent,
  WorkerLoad,
  WorkerMethods,
  WorkerOptions,
} from './methods.js';
import { Watchdog } from './watchdog.js';

/** How a worker process exited. Calls that were pending in it reject with this. */
export class WorkerExit extends Error {
  /**
   * @param suspects ids of what it was terminated for, tasks among them; null where it is not known
   * @param loss how it was lost
   * @param isKilled whether something else has killed it: an operator, or the kernel for want of memory
   */
  constructor(
    message: string,
    readonly suspects: readonly string[] | null,
    readonly loss: Loss,
    readonly isKilled = false,
  ) {
    super(message);
  }
}

/** What a worker reports of its own accord. */
export interface WorkerReports {
  readonly onBatch: (batch: RanBatch) => void;
  /** Called with the bytes of the worker's tile cache, after each change. */
  readonly onTileCache: (bytes: number) => void;
  /** Called every beat with what the worker does. */
  readonly onLoad: (load: WorkerLoad) => void;
  /** Called when it was measured, or read, how a model is computed. */
  readonly onChoice: (choice: TunedModel) => void;
  /** Called with a graph that a job needs, when the outcome of its test is known. */
  readonly onTiling: (tiling: TestedGraph) => void;
  /** Called when a worker has started, and when a device of it is lost or back. */
  readonly onDevices: (devices: WorkerDevices) => void;
}

export interface WorkerProcessEvents extends WorkerReports {
  /** Called once, when it can be given work. */
  readonly onReady: () => void;
  /** Called once, before its pending calls reject. */
  readonly onExit: (exit: WorkerExit) => void;
}

/** Node's arguments for the heap of a process with limited memory. */
const heapFlags = ({ modelHost: { memory } }: WorkerOptions): string[] =>
  memory === undefined ? [] : [`--max-old-space-size=${Math.floor(heapBytes(memory) / 2 ** 20)}`];

/** The life of one worker process, from its start to its end: it is watched, and terminated when it hangs. */
export class WorkerProcess {
  readonly connection: Connection<WorkerMethods, WorkerEvent>;
  /** Rejects where it cannot start, such as with the error of its device. */
  readonly started: Promise<void>;
  readonly #startedAt = performance.now();
  readonly #child: ChildProcess;
  readonly #watchdog: Watchdog;
  readonly #startTimer: NodeJS.Timeout;
  #ticking: NodeJS.Timeout | null = null;
  #isReady = false;
  #hasStarted = false;
  #termination: WorkerExit | null = null;
  /** What its devices were lost with. */
  #suspects: readonly string[] = [];

  constructor(
    options: WorkerOptions,
    private readonly limits: WorkerLimits,
    diagnostics: WorkerDiagnostics,
    private readonly events: WorkerProcessEvents,
  ) {
    this.#child = fork(fileURLToPath(new URL('./main.js', import.meta.url)), {
      serialization: 'advanced',
      env: childEnvironment(),
      execArgv: [...workerExecArgv(diagnostics), ...heapFlags(options)],
      stdio: diagnostics.isSilent
        ? ['ignore', 'ignore', 'ignore', 'ipc']
        : ['inherit', 'inherit', 'inherit', 'ipc'],
    });
    this.#watchdog = new Watchdog(limits, (reason) => this.terminate(`${reason}: it hung`));
    this.#child.on('message', () => this.#watchdog.reset());
    this.connection = new Connection(childProcess(this.#child), {
      onEvent: (event) => this.#receive(event),
      onExit: (exit) => this.#exit(exit),
    });
    const { beatMs, callMs, batchMs, batchFactor } = limits;
    const reason = `the worker did not start within ${callMs / 1000} s`;
    this.#startTimer = setTimeout(() => this.terminate(reason), callMs);
    this.started = this.connection.call('start', [options, { beatMs, batchMs, batchFactor }]);
    this.started.then(
      () => this.#ready(),
      (error: Error) => this.terminate(`the worker did not start: ${error.message}`),
    );
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Whether it can be given work. */
  get isReady(): boolean {
    return this.#isReady && this.#child.connected;
  }

  /** Whether it could be given work, at any time. */
  get hasStarted(): boolean {
    return this.#hasStarted;
  }

  /** Why it accepts no work at present; null where it is ready and responds. */
  get unready(): string | null {
    return this.#isReady ? this.#watchdog.unready : 'the worker is not ready';
  }

  get uptimeMs(): number {
    return performance.now() - this.#startedAt;
  }

  /**
   * Kills the process: nothing gentler reaches one that hangs. Only the first reason counts.
   *
   * @param culprit the id of the task that hangs. Default not known
   */
  terminate(reason: string, culprit: string | null = null): void {
    this.#kill(new WorkerExit(reason, culprit === null ? null : [culprit], 'hang'));
  }

  /** Kills the process, of which the engine is lost, so that it is of no use. As `terminate` otherwise. */
  discard({ reason, by }: EngineLoss): void {
    const suspects = { any: null, suspects: this.#suspects, gpu: [] }[by];
    this.#kill(new WorkerExit(reason, suspects, by === 'any' ? 'crash' : 'devices'));
  }

  /** Stops the process; after `graceMs` it is killed. */
  async stop(): Promise<void> {
    if (this.#child.connected) {
      const force = setTimeout(() => this.#child.kill('SIGKILL'), this.limits.graceMs);
      this.connection
        .call('stop', [])
        .catch(() => undefined) // it has exited, or failed to stop
        .finally(() => {
          if (this.#child.connected) this.#child.disconnect();
        });
      await this.connection.exited;
      clearTimeout(force);
    }
    this.#unwatch();
  }

  #ready(): void {
    clearTimeout(this.#startTimer);
    this.#isReady = true;
    this.#hasStarted = true;
    this.#ticking = setInterval(() => this.#watchdog.tick(), this.limits.beatMs);
    this.events.onReady();
  }

  #receive(event: WorkerEvent): void {
    switch (event.type) {
      case 'beat':
        this.#watchdog.beat(event);
        break;
      case 'batches':
        for (const batch of event.batches) this.events.onBatch(batch);
        break;
      case 'tile-cache':
        this.events.onTileCache(event.bytes);
        break;
      case 'load':
        this.events.onLoad(event.load);
        break;
      case 'choice':
        this.events.onChoice(event.choice);
        break;
      case 'tiling':
        this.events.onTiling(event.tiling);
        break;
      case 'devices':
        this.events.onDevices(event.devices);
        break;
      case 'gone':
        this.#suspects = event.suspects;
        break;
    }
  }

  #kill(exit: WorkerExit): void {
    if (this.#termination) return;
    this.#termination = exit;
    this.#child.kill('SIGKILL');
  }

  #exit({ error, status }: Exit): WorkerExit {
    this.#isReady = false;
    this.#unwatch();
    const what = error ? `the worker process failed: ${status}` : `the worker process ended (${status})`;
    const exit = this.#termination ?? new WorkerExit(what, null, 'crash', status === 'SIGKILL');
    this.events.onExit(exit);
    return exit;
  }

  #unwatch(): void {
    clearTimeout(this.#startTimer);
    if (this.#ticking) clearInterval(this.#ticking);
  }
}
