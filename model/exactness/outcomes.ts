import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { writeWhole } from '../shelf/whole-file.js';

const FORMAT_VERSION = 1;
/** The most outcomes in memory and in a file; those that were found, or replaced, first are evicted. */
const MAX_STORED = 1000;

/**
 * Outcomes of tests and measurements, cached by everything that they depend on. Concurrent requests for one outcome
 * share a test. In a file they outlive the process; a file that is truncated, foreign or of another format version
 * counts as empty.
 */
export class Outcomes<Outcome> {
  /** Of tests that run. */
  readonly #pending = new Map<string, Promise<Outcome>>();
  readonly #schema: z.ZodType<{ readonly outcomes: Record<string, Outcome> }>;
  #stored: Promise<Map<string, Outcome>> | null = null;
  #writing: Promise<void> = Promise.resolve();

  /**
   * @param path of the file, whose folder exists; null for none
   * @param outcome what a stored one must be
   */
  constructor(
    private readonly path: string | null,
    outcome: z.ZodType<Outcome>,
  ) {
    this.#schema = z.object({ form: z.literal(FORMAT_VERSION), outcomes: z.record(z.string(), outcome) });
  }

  /**
   * The outcome of a test, which runs where it is not cached.
   * @param dependencies everything that the outcome depends on, as JSON
   */
  of(dependencies: unknown, test: () => Promise<Outcome>): Promise<Outcome> {
    const key = keyOf(dependencies);
    const pending = this.#pending.get(key);
    if (pending) return pending;
    const outcome = this.#find(key, test).finally(() => this.#pending.delete(key));
    this.#pending.set(key, outcome);
    return outcome;
  }

  /** The outcome of a test that ran before; undefined where none did, or it is still running. */
  async known(dependencies: unknown): Promise<Outcome | undefined> {
    this.#stored ??= this.#read();
    return (await this.#stored).get(keyOf(dependencies));
  }

  /** Replaces the outcome of a test. */
  async set(dependencies: unknown, outcome: Outcome): Promise<void> {
    this.#stored ??= this.#read();
    const stored = await this.#stored;
    await this.#store(stored, keyOf(dependencies), outcome);
  }

  async #find(key: string, test: () => Promise<Outcome>): Promise<Outcome> {
    this.#stored ??= this.#read();
    const stored = await this.#stored;
    const found = stored.get(key);
    if (found !== undefined) return found;
    const outcome = await test(); // one that failed to run has no outcome
    const replaced = stored.get(key);
    if (replaced !== undefined) return replaced; // meanwhile
    await this.#store(stored, key, outcome);
    return outcome;
  }

  async #store(stored: Map<string, Outcome>, key: string, outcome: Outcome): Promise<void> {
    stored.delete(key); // the newest is the last
    stored.set(key, outcome);
    for (const oldest of stored.keys()) if (stored.size > MAX_STORED) stored.delete(oldest);
    // a file that cannot be written costs further tests, but fails no job
    this.#writing = this.#writing.then(() => this.#write(stored)).catch(() => undefined);
    await this.#writing;
  }

  async #read(): Promise<Map<string, Outcome>> {
    if (this.path === null) return new Map();
    try {
      const { outcomes } = this.#schema.parse(JSON.parse(await readFile(this.path, 'utf8')));
      return new Map(Object.entries(outcomes));
    } catch {
      return new Map();
    }
  }

  async #write(stored: ReadonlyMap<string, Outcome>): Promise<void> {
    if (this.path === null) return;
    await writeWhole(this.path, [
      JSON.stringify({ form: FORMAT_VERSION, outcomes: Object.fromEntries(stored) }),
    ]);
  }
}

const keyOf = (dependencies: unknown): string =>
  createHash('sha256').update(JSON.stringify(dependencies)).digest('hex');
