import type { ArgsOf, CallOptions, EventOf, ResultOf } from '../../model/engine/rpc.js';
import { EngineLostError } from '../../model/errors.js';
import type { ImageHeader } from '../contract/image-header.js';
import type { JobSpec, PlanSpec } from '../contract/job-spec.js';
import type { Receipt } from '../contract/receipt.js';
import type { JobProgress } from '../contract/schemas/job.js';
import type { JobFacts } from '../contract/schemas/plan.js';
import type { Stage } from '../contract/stages.js';
import { DeviceLosses } from './device-losses.js';
import { limitsUnder, type WorkerDiagnostics } from './diagnostics.js';
import { imageLimits, WORKER_LIMITS, type WorkerLimits } from './limits.js';
import { blameOf, type DeathCause, WorkerLostError } from './lost.js';
import type { CallName, JobEvent, WorkerCalls, WorkerMethods, WorkerOptions } from './methods.js';
import { WorkerExit, WorkerProcess, type WorkerReports } from './process.js';
import { RestartDelay } from './restart-delay.js';
import { Task } from './task.js';

export interface JobListener {
  /** Called with a stage that a tile or a band has passed, and when, in ms since 1970. */
  readonly onStage: (stage: Stage, durationMs: number, endedAtMs: number) => void;
  readonly onProgress: (progress: JobProgress) => void;
}

export interface WorkerEvents extends WorkerReports {
  /** Called when a worker exited unexpectedly, before the jobs in it reject. */
  readonly onLost: (reason: string, cause: DeathCause) => void;
}

/** A call is rejected after this many exits of workers, those that did not start among them. */
const MAX_EXITS = 2;

/**
 * The server's side of its worker. A process that dies, or hangs, is replaced; jobs in it are rejected with
 * `WorkerLostError`, which says whether they may have caused it. Calls in it, and whatever is submitted meanwhile,
 * are dispatched to the next one.
 */
export class WorkerClient implements WorkerCalls {
  /** Of the first worker: rejects where it cannot start, such as with the error of its device. */
  readonly started: Promise<void>;
  readonly #tasks = new Set<Task>();
  readonly #losses: DeviceLosses;
  readonly #limits: WorkerLimits;
  #worker: WorkerProcess;
  #nextCall = 0;
  #restart: NodeJS.Timeout | null = null;
  readonly #restartDelay: RestartDelay;
  #holds = 0;
  #isStopping = false;

  constructor(
    options: WorkerOptions,
    private readonly events: WorkerEvents,
    limits: Partial<WorkerLimits> = {},
    private readonly diagnostics: WorkerDiagnostics = {},
  ) {
    this.#limits = limitsUnder({ ...WORKER_LIMITS, ...limits }, diagnostics);
    this.#restartDelay = new RestartDelay(this.#limits.restartMs);
    this.#losses = new DeviceLosses(options);
    this.#worker = this.#start();
    this.started = this.#worker.started;
  }

  /** Why the worker accepts no work at present; null where it is ready and responds. */
  get unready(): string | null {
    return this.#worker.unready;
  }

  /** Of the current process. */
  get pid(): number | undefined {
    return this.#worker.pid;
  }

  /**
   * Runs a job. When `signal` aborts, the worker stops at the next tile, removes what it wrote, and
   * the promise rejects; a worker that does not stop within `graceMs` is terminated.
   *
   * @throws WorkerLostError; RemoteError with the code of what failed in the worker
   */
  run(job: JobSpec, listener: JobListener, signal: AbortSignal): Promise<Receipt> {
    const onEvent = (event: JobEvent): void => {
      switch (event.type) {
        case 'progress':
          // Progress first: whether tiles follow a band depends on it.
          if (event.progress) listener.onProgress(event.progress);
          for (const { stage, durationMs, endedAtMs } of event.stages)
            listener.onStage(stage, durationMs, endedAtMs);
          break;
        case 'hung':
          this.#worker.terminate(event.reason, job.id);
          break;
      }
    };
    const limits = imageLimits(job.size, this.#limits);
    return this.#submit(job.id, 'run', [job, limits], { signal, onEvent });
  }

  /** @throws EngineLostError where two workers exited with it; RemoteError with the code of what failed in one */
  plan(spec: PlanSpec, header: ImageHeader): Promise<JobFacts> {
    return this.#call('plan', [spec, header]);
  }

  /** @throws as `plan` */
  estimate(spec: PlanSpec, header: ImageHeader): Promise<number> {
    return this.#call('estimate', [spec, header]);
  }

  /** @throws as `plan` */
  preview(id: string): Promise<Buffer | null> {
    return this.#call('preview', [id]);
  }

  /**
   * Holds back calls that use the device until the returned function is called: a job that is suspected of
   * killing workers has to be alone in one.
   */
  hold(): () => void {
    this.#holds++;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#holds--;
      this.#dispatchAll();
    };
  }

  /** Rejects whatever is pending, and stops the process; after `graceMs` it is killed. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#restart) clearTimeout(this.#restart);
    for (const task of this.#tasks) this.#reject(task, new EngineLostError('the server is stopping'));
    await this.#worker.stop();
  }

  #start(): WorkerProcess {
    return new WorkerProcess(this.#losses.nextOptions, this.#limits, this.diagnostics, {
      ...this.events,
      onReady: () => this.#dispatchAll(),
      onDevices: (devices) => {
        this.#losses.update(devices);
        this.events.onDevices(devices);
      },
      onExit: (exit) => {
        if (!this.#isStopping) this.#replace(exit);
      },
    });
  }

  #call<Name extends CallName>(
    name: Name,
    args: ArgsOf<WorkerCalls[Name]>,
  ): Promise<ResultOf<WorkerCalls[Name]>> {
    return this.#submit(`call ${this.#nextCall++}`, name, args);
  }

  #submit<Name extends Task['name']>(
    id: string,
    name: Name,
    args: ArgsOf<WorkerMethods[Name]>,
    options: CallOptions<EventOf<WorkerMethods[Name]>> = {},
  ): Promise<ResultOf<WorkerMethods[Name]>> {
    const { signal } = options;
    if (signal?.aborted) return Promise.reject(signal.reason);
    let cancel = () => {};
    return new Promise<ResultOf<WorkerMethods[Name]>>((resolve, reject) => {
      const task = new Task(id, name, (worker) => worker.call(name, args, options), { resolve, reject });
      cancel = () => this.#cancel(task, signal?.reason);
      signal?.addEventListener('abort', cancel, { once: true });
      this.#tasks.add(task);
      this.#dispatch(task);
    }).finally(() => signal?.removeEventListener('abort', cancel));
  }

  #dispatchAll(): void {
    for (const task of this.#tasks) this.#dispatch(task);
  }

  /** Starts a task in the worker if it is ready for it. */
  #dispatch(task: Task): void {
    const isHeld = this.#holds > 0 && task.isDeviceCall;
    if (task.isDispatched || isHeld || !this.#worker.isReady) return;
    task.isDispatched = true;
    if (task.name !== 'run') {
      const { callMs } = this.#limits;
      const reason = `${task.name} took longer than ${callMs / 1000} s`;
      task.limit(callMs, () => this.#worker.terminate(reason, task.id));
    }
    task.start(this.#worker.connection).then(
      (value) => {
        this.#tasks.delete(task);
        task.resolve(value);
      },
      (error: unknown) => {
        if (!(error instanceof WorkerExit) && this.#tasks.has(task)) this.#fail(task, error); // else `#replace` handles it
      },
    );
  }

  /** Rejects a task, unless its error is that of its worker's engine: then it is dispatched to the next worker. */
  #fail(task: Task, error: unknown): void {
    const loss = this.#losses.lossBy(error);
    if (loss === null) this.#reject(task, error);
    else this.#worker.discard(loss);
  }

  /** A dispatched task is cancelled by its connection, and has a while to stop. */
  #cancel(task: Task, reason: unknown): void {
    if (!task.isDispatched) {
      this.#reject(task, reason);
      return;
    }
    const { graceMs } = this.#limits;
    const timeout = `a cancelled job did not stop within ${graceMs / 1000} s`;
    task.limit(graceMs, () => this.#worker.terminate(timeout, task.id));
  }

  #replace(exit: WorkerExit): void {
    this.events.onLost(exit.message, this.#causeOf(exit));
    this.#restart = setTimeout(() => {
      this.#restart = null;
      this.#worker = this.#start();
    }, this.#restartDelay.next(this.#worker.uptimeMs));
    if (this.#worker.hasStarted) this.#blame(exit);
    else for (const task of this.#tasks) if (task.name !== 'run') this.#countExit(task, exit.message);
  }

  #causeOf({ loss, isKilled }: WorkerExit): DeathCause {
    if (isKilled) return 'killed';
    return this.#worker.hasStarted ? loss : 'start';
  }

  /** Rejects jobs, each with its part in the exit, and requeues calls. */
  #blame({ message, suspects, loss }: WorkerExit): void {
    const dispatched = [...this.#tasks].filter(({ isDispatched }) => isDispatched);
    const ran = dispatched.filter(({ isSuspect }) => isSuspect).map(({ id }) => id);
    // a self-test or an estimate, with which devices may have been lost, is that of any task
    const areTasks = loss !== 'devices' || suspects?.every((id) => ran.includes(id));
    const blamed = suspects !== null && areTasks ? suspects : ran;
    for (const task of dispatched) {
      if (task.name === 'run') {
        this.#reject(task, new WorkerLostError(message, blameOf(task.id, blamed), loss));
      } else if (loss === 'hang' && suspects?.includes(task.id)) {
        this.#reject(task, new EngineLostError(message));
      } else if (suspects === null || loss === 'devices') this.#countExit(task, message);
      else task.requeue();
    }
  }

  /** Has a call wait for the next worker, unless it has waited for enough of them. */
  #countExit(task: Task, message: string): void {
    task.exits++;
    if (task.exits >= MAX_EXITS) this.#reject(task, new EngineLostError(message));
    else task.requeue();
  }

  #reject(task: Task, error: unknown): void {
    this.#tasks.delete(task);
    task.reject(error);
  }
}
