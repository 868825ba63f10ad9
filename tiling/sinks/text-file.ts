import { PartialFile } from './partial-file.js';

/** Text is gathered up to so many characters before it is written. */
const BUFFER_CHARS = 1 << 16;

/** A text file that appears when it is complete; pieces are gathered, and written in order. */
export class TextFile {
  #pending: string[] = [];
  #chars = 0;

  private constructor(private readonly file: PartialFile) {}

  static async create(path: string): Promise<TextFile> {
    return new TextFile(await PartialFile.create(path));
  }

  add(text: string): void {
    this.#pending.push(text);
    this.#chars += text.length;
  }

  /** Writes what is gathered, if it is worth it. */
  async drain(least = BUFFER_CHARS): Promise<void> {
    if (this.#chars < least) return;
    const text = this.#pending.join('');
    this.#pending = [];
    this.#chars = 0;
    await this.file.append(Buffer.from(text));
  }

  async finish(): Promise<void> {
    await this.drain(0);
    await this.file.commit();
  }

  async abort(): Promise<void> {
    await this.file.discard();
  }
}
