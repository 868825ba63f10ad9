import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { runProcess } from './process.js';

/** The folder of the scripts in Python, and of their environment. */
export const FOLDER = fileURLToPath(new URL('../../../bench/rivals/', import.meta.url));
export const PYTHON = join(FOLDER, '.venv/bin/python');

/** The packages of the scripts' environment. */
export class Packages {
  /** @param names in lower case; null where there is no environment */
  private constructor(private readonly names: ReadonlySet<string> | null) {}

  static async find(): Promise<Packages> {
    const list =
      'import json, importlib.metadata as m; print(json.dumps([d.name.lower() for d in m.distributions()]))';
    const found = await runProcess(PYTHON, ['-c', list]).catch(() => null);
    return new Packages(found && new Set(z.array(z.string()).parse(JSON.parse(found.stdout))));
  }

  /** Why what needs these packages cannot run; null if it can. */
  lackOf(needed: readonly string[]): string | null {
    if (needed.length === 0) return null;
    if (this.names === null) return 'there is no bench/rivals/.venv';
    const missing = needed.filter((name) => !this.names!.has(name));
    return missing.length > 0 ? `bench/rivals/.venv lacks ${missing.join(', ')}` : null;
  }
}
