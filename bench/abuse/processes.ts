import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { median } from '../bench.js';
import { childrenOf, pause, residentBytes } from '../server.js';

const POLL_MS = 50;
const SAMPLES = { count: 40, everyMs: 250 };

/** Watches which processes a server starts: what is restarted is seen whatever the server says. */
export class ProcessWatch {
  readonly #seen = new Map<number, string>();
  readonly #timer: NodeJS.Timeout;

  constructor(pid: number) {
    this.#timer = setInterval(() => void this.#look(pid), POLL_MS);
  }

  /** How many processes were started in place of another, by their scripts. */
  get restarts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const script of this.#seen.values()) counts[script] = (counts[script] ?? -1) + 1;
    return counts;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(pid: number): Promise<void> {
    for (const child of await childrenOf(pid)) {
      if (this.#seen.has(child)) continue;
      const words = (await readFile(`/proc/${child}/cmdline`, 'utf8').catch(() => '')).split('\0');
      const script = words.find((word) => word.endsWith('.js'));
      // Before it is itself, a new process looks like its parent.
      if (script && basename(script) !== 'bin.js') this.#seen.set(child, scriptName(script));
    }
  }
}

/** `worker/main.js`. */
const scriptName = (script: string): string => script.split('/').slice(-2).join('/');

/**
 * Resident memory of a server that has nothing to do, with its processes: the median of 40 samples in ten
 * seconds.
 */
export async function idleBytes(pid: number): Promise<number> {
  const samples: number[] = [];
  for (let i = 0; i < SAMPLES.count; i++) {
    await pause(SAMPLES.everyMs);
    samples.push(await residentBytes(pid));
  }
  return median(samples);
}

/** Every file below a folder. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => `${entry.parentPath}/${entry.name}`);
}
