import { SingleBar } from 'cli-progress';

/** A bar on a terminal, nothing in a pipe. */
export class ProgressBar {
  readonly #bar: SingleBar | null;
  #started = false;

  /** @param format cli-progress's format; its own words are bar, value, total, percentage, eta_formatted */
  constructor(format: string, stream: NodeJS.WriteStream = process.stderr) {
    this.#bar = stream.isTTY
      ? new SingleBar({ format, stream, hideCursor: true, clearOnComplete: true })
      : null;
  }

  update(done: number, total: number, words: Record<string, string> = {}): void {
    if (!this.#started) {
      this.#started = true;
      this.#bar?.start(total, done, words);
    }
    this.#bar?.update(done, words);
  }

  stop(): void {
    if (this.#started) this.#bar?.stop();
    this.#started = false;
  }
}
