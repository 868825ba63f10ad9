import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { EngineLostError, RemoteError } from '../../model/errors.js';
import { limitsFor } from '../../tiling/decode-limits.js';
import { childEnvironment } from '../config.js';
import type { JobProgress, JobSpec } from '../contract/job-spec.js';
import type { Receipt } from '../contract/receipt.js';
import type { Stage } from '../contract/stages.js';
import { WORKER_LIMITS, type WorkerLimits } from './limits.js';
import { type Blame, WorkerLostError } from './lost.js';
import type { CallName, FromWorker, ToWorker, WorkerCalls, WorkerOptions } from './messages.js';
import type { ImageLimits } from './read-limit.js';
import { Watchdog } from './watchdog.js';

export interface JobListener {
  readonly onStage: (stage: Stage, durationMs: number) => void;
  readonly onProgress: (progress: JobProgress) => void;
}

export interface WorkerEvents {
  readonly onBatch: (tiles: number, ranMs: number, waiting: number) => void;
  /** Called when a worker ended on its own, before the jobs in it are rejected. */
  readonly onLost: (why: string) => void;
}

interface Work {
  /** By which the end of a worker is laid to it: a job's, or `call N`. */
  readonly id: string;
  readonly message: ToWorker;
  /** Whether the worker that runs now has it. */
  isInside: boolean;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
  timer: NodeJS.Timeout | null;
}
interface Job extends Work, JobListener {}
interface Call extends Work {
  readonly name: CallName;
  /** Workers that ended with it inside. */
  ends: number;
}

/** A worker that lived so long starts the count of restarts anew. */
const STEADY_MS = 60_000;
/** A call that was in so many workers that ended is refused. */
const MAX_ENDS = 2;

/**
 * The server's side of one worker process. A worker that dies, or hangs, is replaced; jobs that were in it
 * are rejected with `WorkerLostError`, which says whether they may have ended it. Calls that were in it, and
 * what comes meanwhile, wait for the next one.
 */
export class WorkerClient {
  readonly #jobs = new Map<string, Job>();
  readonly #calls = new Map<number, Call>();
  readonly #limits: WorkerLimits;
  #nextCall = 0;
  #child: ChildProcess;
  #watchdog!: Watchdog; // a new one with each worker, see `#start`
  #ticking: NodeJS.Timeout | null = null;
  #device: string | null = null;
  #restart: NodeJS.Timeout | null = null;
  #backOffMs: number;
  #startedAt = 0;
  #held = 0;
  #stopping = false;
  /** Why, and for which job or call, the worker is being ended from here. */
  #ending: { readonly why: string; readonly guilty: string | null } | null = null;

  constructor(
    private readonly options: WorkerOptions,
    private readonly events: WorkerEvents,
    limits: Partial<WorkerLimits> = {},
  ) {
    this.#limits = { ...WORKER_LIMITS, ...limits };
    this.#backOffMs = this.#limits.restartMs.first;
    this.#child = this.#start();
  }

  /** Why no work should come now; null where the worker is ready and answers. */
  get unready(): string | null {
    if (this.#device === null) return 'the worker is not ready';
    return this.#watchdog.doubt;
  }

  /** Of the process that runs now. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /**
   * Runs a job. When `signal` aborts, the worker stops at the next tile, removes what it wrote, and
   * the promise rejects; a worker that does not stop in time is ended.
   */
  run(job: JobSpec, listener: JobListener, signal: AbortSignal): Promise<Receipt> {
    const cancel = () => this.#cancel(job.id, signal.reason);
    return new Promise<Receipt>((resolve, reject) => {
      const message: ToWorker = { type: 'run', job, limits: this.#imageLimits(job) };
      const { id } = job;
      const work: Job = { ...listener, id, message, resolve, reject, isInside: false, timer: null };
      this.#jobs.set(job.id, work);
      this.#give(work);
      signal.addEventListener('abort', cancel, { once: true });
      if (signal.aborted) cancel();
    }).finally(() => signal.removeEventListener('abort', cancel));
  }

  /** Asks the worker for something small. */
  call<Name extends CallName>(
    name: Name,
    ...args: Parameters<WorkerCalls[Name]>
  ): ReturnType<WorkerCalls[Name]> {
    const call = this.#nextCall++;
    return new Promise((resolve, reject) => {
      const message: ToWorker = { type: 'call', call, name, args };
      const id = `call ${call}`;
      const work = { id, message, name, resolve, reject, isInside: false, timer: null, ends: 0 };
      this.#calls.set(call, work);
      this.#give(work);
    }) as ReturnType<WorkerCalls[Name]>;
  }

  /**
   * Keeps calls that use the device waiting until the function returned is called: a job that is suspected
   * of ending workers is to have one for itself.
   */
  hold(): () => void {
    this.#held++;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#held--;
      this.#giveAll();
    };
  }

  /** Stops the worker; one that does not go in time is ended. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#restart) clearTimeout(this.#restart);
    for (const { reject, timer } of [...this.#jobs.values(), ...this.#calls.values()]) {
      if (timer) clearTimeout(timer);
      reject(new EngineLostError('the server stops'));
    }
    this.#jobs.clear();
    this.#calls.clear();
    if (!this.#child.connected) return this.#unwatch();
    const exited = once(this.#child, 'exit');
    const force = setTimeout(() => this.#child.kill('SIGKILL'), this.#limits.graceMs);
    this.#child.send({ type: 'stop' } satisfies ToWorker);
    await exited;
    clearTimeout(force);
    this.#unwatch();
  }

  #start(): ChildProcess {
    const child = fork(fileURLToPath(new URL('./main.js', import.meta.url)), {
      serialization: 'advanced',
      env: childEnvironment(),
    });
    this.#startedAt = performance.now();
    this.#ending = null;
    child.on('message', (message: FromWorker) => this.#receive(message));
    let isLost = false;
    const lose = (why: string) => {
      if (!isLost) this.#lose(this.#ending?.why ?? why);
      isLost = true;
    };
    child.on('exit', (code, signal) => lose(`the worker process ended (${signal ?? `exit code ${code}`})`));
    child.on('error', (error) => lose(`the worker process failed: ${error.message}`));
    const { beatMs } = this.#limits;
    child.send({ type: 'start', options: this.options, beatMs } satisfies ToWorker, () => undefined);
    this.#unwatch();
    this.#watchdog = this.#watch();
    return child;
  }

  #watch(): Watchdog {
    const watchdog = new Watchdog(this.#limits, (why) => this.#end(`${why}: it hung`, null));
    this.#ticking = setInterval(() => {
      if (this.#device !== null) watchdog.tick();
      else this.#checkStart();
    }, this.#limits.beatMs);
    return watchdog;
  }

  #checkStart(): void {
    const { callMs } = this.#limits;
    if (performance.now() - this.#startedAt > callMs)
      this.#end(`the worker did not start in ${callMs / 1000} s`, null);
  }

  #unwatch(): void {
    if (this.#ticking) clearInterval(this.#ticking);
  }

  /** Ends the worker by force: nothing gentler reaches one that hangs. */
  #end(why: string, guilty: string | null): void {
    if (this.#ending) return;
    this.#ending = { why, guilty };
    this.#child.kill('SIGKILL');
  }

  /** Gives work to the worker now, or when it is there. */
  #give(work: Job | Call): void {
    const isHeld = this.#held > 0 && isOnDevice(work);
    if (work.isInside || isHeld || this.#device === null || !this.#child.connected) return;
    work.isInside = true;
    if ('name' in work) {
      const { callMs } = this.#limits;
      const why = `${work.name} took longer than ${callMs / 1000} s`;
      work.timer = setTimeout(() => this.#end(why, work.id), callMs);
    }
    this.#child.send(work.message, () => undefined);
  }

  /** By the size of the image, which its decoder's own limit goes by. */
  #imageLimits({ size }: JobSpec): ImageLimits {
    const { openMs, openFactor, readMs } = this.#limits;
    const decodeMs = size ? 1000 * limitsFor(size).seconds : 0;
    return { openMs: openMs + openFactor * decodeMs, readMs };
  }

  #giveAll(): void {
    for (const work of [...this.#jobs.values(), ...this.#calls.values()]) this.#give(work);
  }

  #cancel(id: string, reason: unknown): void {
    const job = this.#jobs.get(id);
    if (!job) return;
    if (!job.isInside) {
      this.#jobs.delete(id);
      job.reject(reason);
      return;
    }
    if (this.#child.connected) this.#child.send({ type: 'cancel', id } satisfies ToWorker, () => undefined);
    const { graceMs } = this.#limits;
    job.timer ??= setTimeout(() => this.#end(`a job did not stop in ${graceMs / 1000} s`, id), graceMs);
  }

  #receive(message: FromWorker): void {
    this.#watchdog.heard();
    switch (message.type) {
      case 'ready':
        this.#device = message.device;
        this.#giveAll();
        break;
      case 'beat':
        this.#watchdog.beat(message);
        break;
      case 'stuck':
        this.#end(message.why, message.id);
        break;
      case 'batch':
        this.events.onBatch(message.tiles, message.ranMs, message.waiting);
        break;
      case 'stage':
        this.#jobs.get(message.id)?.onStage(message.stage, message.durationMs);
        break;
      case 'progress':
        this.#jobs.get(message.id)?.onProgress(message.progress);
        break;
      case 'done':
        this.#take(this.#jobs, message.id)?.resolve(message.receipt as never);
        break;
      case 'failed':
        this.#take(this.#jobs, message.id)?.reject(new RemoteError(message.code, message.message));
        break;
      case 'answer':
        this.#take(this.#calls, message.call)?.resolve(message.value as never);
        break;
      case 'refused':
        this.#take(this.#calls, message.call)?.reject(new RemoteError(message.code, message.message));
        break;
    }
  }

  #take<Key, Item extends Work>(from: Map<Key, Item>, key: Key): Item | undefined {
    const work = from.get(key);
    if (work?.timer) clearTimeout(work.timer);
    from.delete(key);
    return work;
  }

  #lose(why: string): void {
    this.#device = null;
    this.#unwatch();
    if (this.#stopping) return;
    this.events.onLost(why);
    if (performance.now() - this.#startedAt > STEADY_MS) this.#backOffMs = this.#limits.restartMs.first;
    this.#restart = setTimeout(() => {
      this.#restart = null;
      this.#child = this.#start();
    }, this.#backOffMs);
    this.#backOffMs = Math.min(2 * this.#backOffMs, this.#limits.restartMs.last);
    this.#blame(why);
  }

  /**
   * Rejects the jobs that were inside, each with what it has to do with the worker's end. An estimate may have
   * caused it, and a plan, for which a model may have been loaded and tested.
   */
  #blame(why: string): void {
    const guilty = this.#ending?.guilty ?? null;
    const jobs = [...this.#jobs].filter(([, { isInside }]) => isInside);
    const calls = [...this.#calls].filter(([, { isInside }]) => isInside);
    const suspects = jobs.length + calls.filter(([, { name }]) => name !== 'preview').length;
    for (const [key, call] of calls) {
      if (call.timer) clearTimeout(call.timer);
      call.isInside = false;
      if (guilty === null || guilty === call.id) call.ends++;
      if (guilty !== call.id && call.ends < MAX_ENDS) continue; // it goes to the next worker
      this.#take(this.#calls, key)?.reject(new EngineLostError(why));
    }
    for (const [id] of jobs) {
      const blame: Blame =
        guilty === null ? (suspects === 1 ? 'certain' : 'possible') : guilty === id ? 'certain' : 'none';
      this.#take(this.#jobs, id)?.reject(new WorkerLostError(why, blame, this.#ending !== null));
    }
  }
}

/** Of calls, those that always use the device; a plan does where a graph has not been tested before. */
const isOnDevice = (work: Job | Call): boolean => 'name' in work && work.name === 'estimate';
