import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { EngineLostError, RemoteError } from '../../model/errors.js';
import type { Receipt } from '../receipt.js';
import type { Stage } from '../segment.js';
import type { JobSpec, Progress } from '../segmenter.js';
import type { FromWorker, ToWorker, WorkerOptions } from './messages.js';

export interface JobListener {
  readonly onStage: (stage: Stage, durationMs: number) => void;
  readonly onProgress: (progress: Progress) => void;
}

export interface WorkerEvents {
  readonly onBatch: (tiles: number, ranMs: number, waiting: number) => void;
  readonly onLost: (why: string) => void;
}

interface Running extends JobListener {
  readonly resolve: (receipt: Receipt) => void;
  readonly reject: (error: Error) => void;
}

/** How long after the end of a worker the next one is started. */
const RESTART_MS = 500;

/**
 * The server's side of its worker process. A worker that dies takes the jobs in it along, which fail,
 * and is replaced.
 */
export class WorkerClient {
  readonly #running = new Map<string, Running>();
  #child: ChildProcess;
  #device: string | null = null;
  #restart: NodeJS.Timeout | null = null;
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

  /**
   * Runs a job. When `signal` aborts, the worker stops at the next tile, removes what it wrote, and
   * the promise rejects.
   */
  run(job: JobSpec, listener: JobListener, signal: AbortSignal): Promise<Receipt> {
    if (!this.#child.connected)
      return Promise.reject(new EngineLostError('the worker process is not running'));
    const cancel = () => this.#send({ type: 'cancel', id: job.id });
    return new Promise<Receipt>((resolve, reject) => {
      this.#running.set(job.id, { ...listener, resolve, reject });
      this.#send({ type: 'run', job });
      signal.addEventListener('abort', cancel, { once: true });
      if (signal.aborted) cancel();
    }).finally(() => signal.removeEventListener('abort', cancel));
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#restart) clearTimeout(this.#restart);
    if (!this.#child.connected) return;
    const exited = once(this.#child, 'exit');
    this.#send({ type: 'stop' });
    await exited;
  }

  #start(): ChildProcess {
    const child = fork(fileURLToPath(new URL('./main.js', import.meta.url)), { serialization: 'advanced' });
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

  #send(message: ToWorker): void {
    if (this.#child.connected) this.#child.send(message);
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
    }
  }

  #lose(why: string): void {
    this.#device = null;
    for (const { reject } of this.#running.values()) reject(new EngineLostError(why));
    this.#running.clear();
    if (this.#stopping) return;
    this.events.onLost(why);
    this.#restart = setTimeout(() => {
      this.#child = this.#start();
    }, RESTART_MS);
  }
}
