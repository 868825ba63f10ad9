import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { writeWhole } from './whole-file.js';

const FORM = 1;
const schema = z.object({ form: z.literal(FORM), outcomes: z.record(z.string(), z.boolean()) });
/** Outcomes that a file keeps; the oldest goes first. */
const MAX_KEPT = 1000;

/**
 * Outcomes of tests, by all that decides them. Tests that run at the same time for the same are one. With a
 * file they outlive the process; a file that is torn, foreign or of another form holds none.
 */
export class Outcomes {
  readonly #known = new Map<string, Promise<boolean>>();
  #kept: Promise<Map<string, boolean>> | null = null;
  #writing: Promise<void> = Promise.resolve();

  constructor(private readonly path: string | null) {}

  /** The outcome of a test, which runs where it is not known. @param decides all that it depends on, as JSON */
  of(decides: unknown, test: () => Promise<boolean>): Promise<boolean> {
    const key = createHash('sha256').update(JSON.stringify(decides)).digest('hex');
    const known = this.#known.get(key);
    if (known) return known;
    const outcome = this.#find(key, test);
    this.#known.set(key, outcome);
    outcome.catch(() => this.#known.delete(key)); // what did not run has no outcome
    return outcome;
  }

  async #find(key: string, test: () => Promise<boolean>): Promise<boolean> {
    this.#kept ??= this.#read();
    const kept = await this.#kept;
    const found = kept.get(key);
    if (found !== undefined) return found;
    const outcome = await test();
    kept.set(key, outcome);
    for (const oldest of kept.keys()) if (kept.size > MAX_KEPT) kept.delete(oldest);
    // a file that cannot be written costs tests, not masks
    this.#writing = this.#writing.then(() => this.#write(kept)).catch(() => undefined);
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

  async #write(kept: ReadonlyMap<string, boolean>): Promise<void> {
    if (this.path === null) return;
    await writeWhole(this.path, [JSON.stringify({ form: FORM, outcomes: Object.fromEntries(kept) })]);
  }
}
