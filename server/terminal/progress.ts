import { MultiBar, SingleBar } from 'cli-progress';

/** A progress bar on a terminal; nothing where the output is piped. */
export class ProgressBar {
  readonly #bar: SingleBar | null;
  /** When it was drawn first, in ms; null while it is not. */
  #started: number | null = null;

  /** @param format cli-progress's format; its placeholders are bar, value, total, percentage, and `left` */
  constructor(format: string, stream: NodeJS.WriteStream = process.stderr) {
    this.#bar = stream.isTTY
      ? new SingleBar({ format, stream, hideCursor: true, clearOnComplete: true })
      : null;
  }

  update(done: number, total: number, payload: Record<string, string> = {}): void {
    const now = performance.now();
    const isFirst = this.#started === null;
    this.#started ??= now;
    const values = { ...payload, left: timeLeft(done, total, now - this.#started) };
    if (isFirst) this.#bar?.start(total, done, values);
    this.#bar?.update(done, values);
  }

  stop(): void {
    if (this.#started !== null) this.#bar?.stop();
    this.#started = null;
  }
}

/** Several progress bars below each other on a terminal; nothing where the output is piped. */
export class ProgressBars {
  readonly #formats: readonly string[];
  #bars: MultiBar | null = null;
  #each: SingleBar[] = [];

  /** @param formats cli-progress's, one a bar */
  constructor(...formats: readonly string[]) {
    this.#formats = formats;
  }

  /** @param states of each bar: its value, its total, and the values of other placeholders */
  update(
    ...states: readonly (readonly [done: number, total: number, payload: Record<string, string>])[]
  ): void {
    if (!process.stderr.isTTY) return;
    if (this.#bars === null) {
      const bars = new MultiBar({ stream: process.stderr, hideCursor: true, clearOnComplete: true });
      this.#each = states.map(([done, total, payload], i) =>
        bars.create(total, done, payload, { format: this.#formats[i]! }),
      );
      this.#bars = bars;
    }
    for (const [i, [done, , payload]] of states.entries()) this.#each[i]!.update(done, payload);
  }

  /** Clears the bars; the next update draws them again. */
  stop(): void {
    this.#bars?.stop();
    this.#bars = null;
  }
}

/** What is left at the speed so far, such as `, 45 s left`; nothing while there is no speed. */
export const timeLeft = (done: number, total: number, elapsedMs: number): string =>
  done === 0 || elapsedMs === 0 ? '' : `, ${duration(((total - done) * elapsedMs) / done / 1000)} left`;

/** Formats seconds: `45 s`, `12 min`, `3 h 20 min`. */
export function duration(seconds: number): string {
  if (seconds < 100) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
