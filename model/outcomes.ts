import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { writeWhole } from './whole-file.js';

const FORMAT_VERSION = 1;
const schema = z.object({ form: z.literal(FORMAT_VERSION), outcomes: z.record(z.string(), z.boolean()) });
/** The most outcomes in a file; the oldest are evicted. */
const MAX_STORED = 1000;

/**
 * Outcomes of tests, cached by everything that they depend on. Concurrent requests for one outcome share a test. In
 * a file they outlive the process; a file that is truncated, foreign or of another format version counts as empty.
 */
export class Outcomes {
  readonly #known = new Map<string, Promise<boolean>>();
  #stored: Promise<Map<string, boolean>> | null = null;
  #writing: Promise<void> = Promise.resolve();

  constructor(private readonly path: string | null) {}

  /**
   * The outcome of a test, which runs where it is not cached.
   * @param dependencies everything that the outcome depends on, as JSON
   */
  of(dependencies: unknown, test: () => Promise<boolean>): Promise<boolean> {
    const key = createHash('sha256').update(JSON.stringify(dependencies)).digest('hex');
    const known = this.#known.get(key);
    if (known) return known;
    const outcome = this.#find(key, test);
    this.#known.set(key, outcome);
    outcome.catch(() => this.#known.delete(key)); // a test that failed to run has no outcome
    return outcome;
  }

  async #find(key: string, test: () => Promise<boolean>): Promise<boolean> {
    this.#stored ??= this.#read();
    const stored = await this.#stored;
    const found = stored.get(key);
    if (found !== undefined) return found;
    const outcome = await test();
    stored.set(key, outcome);
    for (const oldest of stored.keys()) if (stored.size > MAX_STORED) stored.delete(oldest);
    // a file that cannot be written costs further tests, but fails no job
    this.#writing = this.#writing.then(() => this.#write(stored)).catch(() => undefined);
    await this.#writing;
    return outcome;
  }

  async #read(): Promise<Map<string, boolean>> {
    if (this.path === null) return new Map();
    try {
      const { outcomes } = schema.parse(JSON.parse(await readFile(this.path, 'utf8')));
      return new Map(Object.entries(outcomes));
    } catch {
      return new Map();
    }
  }

  async #write(stored: ReadonlyMap<string, boolean>): Promise<void> {
    if (this.path === null) return;
    await writeWhole(this.path, [
      JSON.stringify({ form: FORMAT_VERSION, outcomes: Object.fromEntries(stored) }),
    ]);
  }
}
