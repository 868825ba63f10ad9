import { PartialFile } from './partial-file.js';

/** Buffered characters from which on they are written. */
const BUFFER_CHARS = 1 << 16;

/** A text file that appears when it is complete. Pieces of text are buffered, and written in order. */
export class TextFile {
  #buffered: string[] = [];
  #chars = 0;

  private constructor(private readonly file: PartialFile) {}

  static async create(path: string): Promise<TextFile> {
    return new TextFile(await PartialFile.create(path));
  }

  add(text: string): void {
    this.#buffered.push(text);
    this.#chars += text.length;
  }

  /** Writes the buffered text once there are at least `least` characters of it. */
  async drain(least = BUFFER_CHARS): Promise<void> {
    if (this.#chars < least) return;
    const text = this.#buffered.join('');
    this.#buffered = [];
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
