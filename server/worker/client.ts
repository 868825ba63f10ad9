import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { EngineLostError, RemoteError } from '../../model/errors.js';
import type { JobSpec, Progress } from '../job-spec.js';
import type { Receipt } from '../receipt.js';
import type { Stage } from '../segment.js';
import type { CallName, FromWorker, ToWorker, WorkerCalls, WorkerOptions } from './messages.js';

export interface JobListener {
  readonly onStage: (stage: Stage, durationMs: number) => void;
  readonly onProgress: (progress: Progress) => void;
}

export interface WorkerEvents {
  readonly onBatch: (tiles: number, ranMs: number, waiting: number) => void;
  /** Called when a worker ended on its own, before the jobs in it are rejected. */
  readonly onLost: (why: string) => void;
}

interface Waiting<Value> {
  readonly resolve: (value: Value) => void;
  readonly reject: (error: Error) => void;
}
interface Running extends JobListener, Waiting<Receipt> {}

/** How long after the end of a worker the next one is started: doubled each time, up to the last. */
const RESTART_MS = { first: 500, last: 30_000 };
/** A worker that lived so long starts the count anew. */
const STEADY_MS = 60_000;

/**
 * The server's side of one worker process. A worker that dies is replaced; what was in it is rejected
 * with `EngineLostError`, and what comes meanwhile waits for the next one.
 */
export class WorkerClient {
  readonly #running = new Map<string, Running>();
  readonly #calls = new Map<number, Waiting<unknown>>();
  readonly #queued: ToWorker[] = [];
  #nextCall = 0;
  #child: ChildProcess;
  #device: string | null = null;
  #restart: NodeJS.Timeout | null = null;
  #backOffMs = RESTART_MS.first;
  #startedAt = 0;
  #stopping = false;

  constructor(
    private readonly options: WorkerOptions,
    private readonly events: WorkerEvents,
  ) {
    this.#child = this.#start();
  }

  /** The device in words, while a worker is ready; null otherwise. */
  get device(): string | null {
    return this.#device;
  }

  /** Of the process that runs now. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /**
   * Runs a job. When `signal` aborts, the worker stops at the next tile, removes what it wrote, and
   * the promise rejects.
   */
  run(job: JobSpec, listener: JobListener, signal: AbortSignal): Promise<Receipt> {
    const cancel = () => this.#send({ type: 'cancel', id: job.id });
    return new Promise<Receipt>((resolve, reject) => {
      this.#running.set(job.id, { ...listener, resolve, reject });
      this.#send({ type: 'run', job });
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
      this.#calls.set(call, { resolve, reject } as Waiting<unknown>);
      this.#send({ type: 'call', call, name, args });
    }) as ReturnType<WorkerCalls[Name]>;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#restart) clearTimeout(this.#restart);
    this.#lose('the server stops');
    if (!this.#child.connected) return;
    const exited = once(this.#child, 'exit');
    this.#child.send({ type: 'stop' } satisfies ToWorker);
    await exited;
  }

  #start(): ChildProcess {
    const child = fork(fileURLToPath(new URL('./main.js', import.meta.url)), { serialization: 'advanced' });
    this.#startedAt = performance.now();
    child.on('message', (message: FromWorker) => this.#receive(message));
    let lost = false;
    const lose = (why: string) => {
      if (!lost) this.#lose(why);
      lost = true;
    };
    child.on('exit', (code, signal) => lose(`the worker process ended (${signal ?? `exit code ${code}`})`));
    child.on('error', (error) => lose(`the worker process failed: ${error.message}`));
    child.send({ type: 'start', options: this.options } satisfies ToWorker);
    return child;
  }

  /** Sends now, or when the next worker is there. */
  #send(message: ToWorker): void {
    if (this.#child.connected && this.#restart === null) this.#child.send(message);
    else this.#queued.push(message);
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case 'ready':
        this.#device = message.device;
        break;
      case 'batch':
        this.events.onBatch(message.tiles, message.ranMs, message.waiting);
        break;
      case 'stage':
        this.#running.get(message.id)?.onStage(message.stage, message.durationMs);
        break;
      case 'progress':
        this.#running.get(message.id)?.onProgress(message.progress);
        break;
      case 'done':
        this.#running.get(message.id)?.resolve(message.receipt);
        this.#running.delete(message.id);
        break;
      case 'failed':
        this.#running.get(message.id)?.reject(new RemoteError(message.code, message.message));
        this.#running.delete(message.id);
        break;
      case 'answer':
        this.#calls.get(message.call)?.resolve(message.value);
        this.#calls.delete(message.call);
        break;
      case 'refused':
        this.#calls.get(message.call)?.reject(new RemoteError(message.code, message.message));
        this.#calls.delete(message.call);
        break;
    }
  }

  #lose(why: string): void {
    this.#device = null;
    if (!this.#stopping) {
      this.events.onLost(why);
      if (performance.now() - this.#startedAt > STEADY_MS) this.#backOffMs = RESTART_MS.first;
      this.#restart = setTimeout(() => {
        this.#restart = null;
        this.#child = this.#start();
        for (const message of this.#queued.splice(0)) this.#child.send(message);
      }, this.#backOffMs);
      this.#backOffMs = Math.min(2 * this.#backOffMs, RESTART_MS.last);
    }
    const lost = [...this.#running.values(), ...this.#calls.values()];
    this.#running.clear();
    this.#calls.clear();
    this.#queued.length = 0;
    for (const { reject } of lost) reject(new EngineLostError(why));
  }
}
