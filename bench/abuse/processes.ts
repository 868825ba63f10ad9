import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { median } from '../bench.js';
import { childrenOf, ownResidentBytes, pause } from '../server.js';

const POLL_MS = 50;
/** The server ends idle processes after half a minute. */
const IDLE_AFTER_MS = 40_000;
const SAMPLES = { count: 40, everyMs: 250 };

/** Observes which processes a server starts, so that restarts are seen whether or not the server reports them. */
export class ProcessWatch {
  readonly #seen = new Map<number, string>();
  readonly #timer: NodeJS.Timeout;

  constructor(pid: number) {
    this.#timer = setInterval(() => void this.#look(pid), POLL_MS);
  }

  /** How often a process was started again, by script. */
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
      const script = await scriptOf(child);
      // Between fork and exec a child has its parent's command line.
      if (script && basename(script) !== 'bin.js') this.#seen.set(child, script);
    }
  }
}

/**
 * Resident memory of an idle server and its child processes, in bytes by script: medians of 40 samples over ten
 * seconds, after idle processes have ended.
 */
export async function idleBytes(pid: number): Promise<Record<string, number>> {
  await pause(IDLE_AFTER_MS);
  const samples: Record<string, number[]> = {};
  for (let i = 0; i < SAMPLES.count; i++) {
    await pause(SAMPLES.everyMs);
    const sums: Record<string, number> = {};
    for (const each of [pid, ...(await childrenOf(pid))]) {
      const name = (await scriptOf(each)) ?? 'gone';
      sums[name] = (sums[name] ?? 0) + (await ownResidentBytes(each));
    }
    for (const [name, bytes] of Object.entries(sums)) (samples[name] ??= []).push(bytes);
  }
  return Object.fromEntries(Object.entries(samples).map(([name, bytes]) => [name, median(bytes)]));
}

/** The script that a Node process runs, such as `worker/main.js`; null if it runs none or has exited. */
export async function scriptOf(pid: number): Promise<string | null> {
  const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
  return (
    words
      .find((word) => word.endsWith('.js'))
      ?.split('/')
      .slice(-2)
      .join('/') ?? null
  );
}

/** The paths of all files below a folder. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => `${entry.parentPath}/${entry.name}`);
}
