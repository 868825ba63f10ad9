import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** What the process of a training measures. */
export interface Measured {
  /** The mean time of a step. */
  readonly ms: number;
  /** The largest resident memory of the process so far. */
  readonly peakMb: number;
}

/** What a training is started with. */
export interface TrainingOptions {
  /** Channels of the first level. */
  readonly base: number;
  /** Of the crop, in px. */
  readonly side: number;
  readonly threads: number;
  /** In each measurement. */
  readonly steps: number;
}

/** Whether steps take one batch that lies in memory, or each is fed by the sampler, as in `unseam train`. */
export type Feeding = 'bare' | 'full';

/** A training in a process of its own, so that its memory is that of nothing else. */
export class Training {
  private constructor(private readonly child: ChildProcess) {}

  static async start(options: TrainingOptions): Promise<Training> {
    const script = fileURLToPath(new URL('./training-process.js', import.meta.url));
    const child = fork(script, [JSON.stringify(options)]);
    await Training.#answer(child);
    return new Training(child);
  }

  measure(feeding: Feeding): Promise<Measured> {
    const answer = Training.#answer<Measured>(this.child);
    this.child.send(feeding);
    return answer;
  }

  async close(): Promise<void> {
    const ended = once(this.child, 'exit');
    this.child.disconnect();
    await ended;
  }

  static async #answer<T>(child: ChildProcess): Promise<T> {
    const answered = new AbortController();
    const failed = once(child, 'exit', { signal: answered.signal }).then(([code]) => {
      throw new Error(`the process of the training ended with code ${code}`);
    });
    const [answer] = await Promise.race([once(child, 'message'), failed]);
    failed.catch(() => undefined);
    answered.abort(); // of the listener
    return answer as T;
  }
}
