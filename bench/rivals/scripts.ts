import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { type Run, runProcess } from './process.js';
import { type Configuration, type Rival, THREADS } from './roster.js';

/** The folder of the scripts in Python, and of their environment. */
const FOLDER = fileURLToPath(new URL('../../../bench/rivals/', import.meta.url));
const PYTHON = join(FOLDER, '.venv/bin/python');

/** What a script prints at its end. */
const reportSchema = z.object({
  /** Of the network's arithmetic: `f32`, or what a rival prefers to it. */
  precision: z.string(),
  versions: z.record(z.string(), z.string()),
  /** By stage, as far as the script times them. */
  seconds: z.record(z.string(), z.number()).default({}),
});
export type Report = z.infer<typeof reportSchema>;

/** What a script printed about a run of it. */
export const reportOf = ({ stdout }: Run): Report => reportSchema.parse(JSON.parse(stdout));

/** The rivals' scripts, and what they need beside a slide. */
export class Scripts {
  readonly #exported: string;

  /**
   * @param dir for scratch files
   * @param model the model folder
   */
  constructor(
    private readonly dir: string,
    private readonly model: string,
  ) {
    this.#exported = join(dir, 'exported');
  }

  /**
   * Exports the network to the formats of the rivals.
   * @returns why a rival cannot run, or null if it can
   */
  async prepare(): Promise<(rival: Rival) => string | null> {
    const list =
      'import json, importlib.metadata as m; print(json.dumps([d.name.lower() for d in m.distributions()]))';
    const found = await runProcess(PYTHON, ['-c', list]).catch(() => null);
    const installed = new Set(z.array(z.string()).parse(JSON.parse(found?.stdout ?? '[]')));
    const exporting = ['numpy', 'onnx'].every((name) => installed.has(name));
    if (exporting) await runProcess(PYTHON, [join(FOLDER, 'export.py'), this.model, this.#exported]);
    return ({ packages }) => {
      if (found === null && packages.length > 0) return 'there is no bench/rivals/.venv';
      const missing = packages.filter((name) => !installed.has(name));
      return missing.length > 0 ? `bench/rivals/.venv lacks ${missing.join(', ')}` : null;
    };
  }

  run(rival: Rival, { tile, sessions }: Configuration, image: string, mask: string): Promise<Run> {
    const options = { model: this.model, exported: this.#exported, tile, sessions, threads: THREADS };
    const flags = Object.entries({ ...options, variant: rival.variant ?? '' }).flatMap(([name, value]) => [
      `--${name}`,
      `${value}`,
    ]);
    const python = rival.script.endsWith('.py');
    const script = python
      ? join(FOLDER, rival.script)
      : fileURLToPath(new URL(rival.script, import.meta.url));
    // compiled code is kept from run to run, but the first run compiles
    const env = { TORCHINDUCTOR_CACHE_DIR: join(this.dir, 'inductor') };
    return runProcess(python ? PYTHON : process.execPath, [script, image, mask, ...flags], env);
  }

  /** The configuration that is the fastest on an image, or why none runs. */
  async fastest(rival: Rival, image: string, log: (line: string) => void): Promise<Configuration | string> {
    const mask = join(this.dir, 'part-mask.tif');
    let best: { configuration: Configuration; seconds: number } | null = null;
    let reason = 'it has no configuration';
    for (const configuration of rival.configurations) {
      try {
        const { seconds, stdout } = await this.run(rival, configuration, image, mask);
        log(`  ${rival.script} ${JSON.stringify(configuration)}: ${seconds.toFixed(2)} s ${stdout.trim()}`);
        if (best === null || seconds < best.seconds) best = { configuration, seconds };
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error);
        log(`  ${rival.script} ${JSON.stringify(configuration)}: ${reason}`);
      }
    }
    return best?.configuration ?? reason;
  }
}
