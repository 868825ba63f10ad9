import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { type Run, runProcess } from './process.js';
import { FOLDER, Packages, PYTHON } from './python.js';
import { type Configuration, type Rival, THREADS } from './roster.js';

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
    const packages = await Packages.find();
    if (packages.lackOf(['numpy', 'onnx']) === null) {
      await runProcess(PYTHON, [join(FOLDER, 'export.py'), this.model, this.#exported]);
    }
    return (rival) => packages.lackOf(rival.packages);
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
