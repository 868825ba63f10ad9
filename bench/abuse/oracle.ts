import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { ORACLE } from './oracle-python.js';

/** Python with tifffile, imagecodecs and Pillow: from `.venv` in the working folder if it exists, or the system's. */
const PYTHON = existsSync('.venv/bin/python') ? '.venv/bin/python' : 'python3';
const TASK_MS = 30_000;

/** An image as a file, and how to compare it: fields as in `Seed`; `range` as in the query, null without one. */
export interface Comparison {
  readonly image: string;
  /** The server's overlay without colours, which is the image as it decoded it. */
  readonly answer: string;
  readonly planes: readonly number[];
  readonly range: readonly number[] | null;
  readonly tolerance: number;
}

export interface Verdict {
  /** `unreadable`: no independent decoder can read the image. */
  readonly verdict: 'agrees' | 'differs' | 'unreadable';
  /** Why each decoder did not agree, by its name. */
  readonly details?: Readonly<Record<string, string>>;
}

const CRASHED: Verdict = { verdict: 'unreadable', details: { python: 'the decoders crashed' } };

/** Independent decoders, in a child process that is replaced when an image crashes it. */
export class Oracle {
  #child: ChildProcess | null = null;
  #next = 0;
  readonly #pending = new Map<number, (verdict: Verdict | null) => void>();

  private constructor(readonly versions: Readonly<Record<string, string | null>>) {}

  /** @returns null where Python or one of its packages is missing */
  static async start(): Promise<Oracle | null> {
    const versions = await new Promise<Record<string, string> | null>((resolve) => {
      const probe = spawn(PYTHON, ['-c', ORACLE], { stdio: ['pipe', 'pipe', 'ignore'] });
      probe.once('error', () => resolve(null));
      probe.once('exit', () => resolve(null));
      createInterface({ input: probe.stdout }).once('line', (line) => {
        resolve((JSON.parse(line) as { versions: Record<string, string> }).versions);
        probe.stdin.end();
      });
    });
    return versions && new Oracle(versions);
  }

  /** Compares an image, and tries once more if the process exits: another image may have crashed it. */
  async compare(task: Comparison): Promise<Verdict> {
    return (await this.#attempt(task)) ?? (await this.#attempt(task)) ?? CRASHED;
  }

  /** @returns null if the process exited */
  #attempt(task: Comparison): Promise<Verdict | null> {
    const child = (this.#child ??= this.#spawn());
    const id = this.#next++;
    return new Promise((resolve) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), TASK_MS);
      this.#pending.set(id, (verdict) => {
        clearTimeout(timer);
        this.#pending.delete(id);
        resolve(verdict);
      });
      child.stdin!.write(`${JSON.stringify({ id, ...task })}\n`);
    });
  }

  close(): void {
    this.#child?.stdin?.end();
  }

  #spawn(): ChildProcess {
    const child = spawn(PYTHON, ['-c', ORACLE], { stdio: ['pipe', 'pipe', 'ignore'] });
    child.stdin.on('error', () => undefined);
    createInterface({ input: child.stdout }).on('line', (line) => {
      const { id, ...verdict } = JSON.parse(line) as Verdict & { id?: number };
      if (id !== undefined) this.#pending.get(id)?.(verdict);
    });
    child.once('exit', () => {
      if (this.#child === child) this.#child = null;
      for (const settle of [...this.#pending.values()]) settle(null);
    });
    return child;
  }
}
