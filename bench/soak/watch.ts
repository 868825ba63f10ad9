import { readdir, readlink } from 'node:fs/promises';
import { filesBelow, scriptOf } from '../abuse/processes.js';
import { childrenOf, ownResidentBytes } from '../server.js';

/** What the server has at one moment. */
export interface Sighting {
  /** Since the soak began, in s. */
  readonly atS: number;
  /** Since the worker's process was first seen, in s. */
  readonly workerAgeS: number;
  /** Values by the name of their series, such as `server: memory, MB`. */
  readonly values: Readonly<Record<string, number>>;
}

const EVERY_MS = 5000;
const SERVER = 'server';
const WORKER = 'worker';
const READER = 'reader';

/** Looks every five seconds at the server's processes in `/proc`, and at its folders. */
export class Watch {
  readonly sightings: Sighting[] = [];
  readonly #started = performance.now();
  readonly #firstSeen = new Map<number, number>();
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<void> = Promise.resolve();

  /** @param folders whose files are counted */
  constructor(
    private readonly pid: number,
    private readonly folders: readonly string[],
  ) {}

  start(): void {
    this.#timer = setInterval(() => {
      this.#looking = this.look().then((sighting) => void this.sightings.push(sighting));
    }, EVERY_MS);
  }

  async stop(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer);
    await this.#looking;
  }

  async look(): Promise<Sighting> {
    const now = performance.now();
    const values: Record<string, number> = {};
    const kinds = await this.#processes(now);
    for (const [kind, pid] of kinds) {
      const { files, sockets } = await descriptorsOf(pid);
      values[`${kind}: memory, MB`] = (await ownResidentBytes(pid)) / 1e6;
      values[`${kind}: file descriptors`] = files;
      values[`${kind}: sockets`] = sockets;
    }
    const files = await Promise.all(this.folders.map((folder) => filesBelow(folder).catch(() => [])));
    values['files in the data folder'] = files.flat().length;
    const worker = kinds.get(WORKER);
    const workerAgeS = worker === undefined ? 0 : (now - this.#firstSeen.get(worker)!) / 1000;
    return { atS: (now - this.#started) / 1000, workerAgeS, values };
  }

  /** The server, its worker, and the reader that has run for longest: others come and go. */
  async #processes(now: number): Promise<Map<string, number>> {
    const kinds = new Map([[SERVER, this.pid]]);
    for (const child of await childrenOf(this.pid)) {
      if (!this.#firstSeen.has(child)) this.#firstSeen.set(child, now);
      const script = await scriptOf(child);
      if (script === 'worker/main.js') kinds.set(WORKER, child);
      if (script !== 'readers/main.js') continue;
      const other = kinds.get(READER);
      if (other === undefined || this.#firstSeen.get(child)! < this.#firstSeen.get(other)!)
        kinds.set(READER, child);
    }
    return kinds;
  }
}

/** How many files a process has open, and how many of them are sockets. */
async function descriptorsOf(pid: number): Promise<{ readonly files: number; readonly sockets: number }> {
  const folder = `/proc/${pid}/fd`;
  const names = await readdir(folder).catch(() => []);
  const targets = await Promise.all(names.map((name) => readlink(`${folder}/${name}`).catch(() => '')));
  return {
    files: names.length,
    sockets: targets.filter((target) => target.startsWith('socket:')).length,
  };
}
