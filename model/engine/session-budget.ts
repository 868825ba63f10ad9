/** What a batch needs: a session of a lane, and memory to run in. */
export interface SessionNeed {
  /** Of the session: its lane, its model and its use. */
  readonly key: string;
  /** Of the session's model. */
  readonly model: number;
  /** Memory of the session, in bytes, without what it runs in. */
  readonly sessionBytes: number;
  /** Memory that it runs the batch in. */
  readonly arenaBytes: number;
  /** Releases the session; called while no batch of it runs. */
  readonly release: () => Promise<void>;
}

interface Entry extends Pick<SessionNeed, 'model' | 'sessionBytes' | 'release'> {
  /** Memory that its largest batch ran in. */
  arenaBytes: number;
  running: number;
}

/**
 * The memory of all sessions of a device, in bytes. A session keeps the memory that its largest batch ran in until it is
 * released. Where a batch does not fit, the least recently used sessions are released, and it waits for those that run.
 * If none is left it is run: whoever plans batches sees to it that one of each lane fits.
 */
export class SessionBudget {
  /** The least recently used first. */
  readonly #entries = new Map<string, Entry>();
  /** Called when a batch ends. */
  #onEnd = () => {};
  /** Batches get their memory in the order of their arrival. */
  #turn: Promise<unknown> = Promise.resolve();

  /** @param limit bytes that sessions may take at present */
  constructor(private readonly limit: () => number) {}

  /** Bytes of sessions, and of the arenas that they run in. */
  get bytes(): { readonly sessions: number; readonly arenas: number } {
    const entries = [...this.#entries.values()];
    return {
      sessions: entries.reduce((sum, entry) => sum + entry.sessionBytes, 0),
      arenas: entries.reduce((sum, entry) => sum + entry.arenaBytes, 0),
    };
  }

  /** Runs a batch when there is memory for it. */
  async run<Result>(need: SessionNeed, run: () => Promise<Result>): Promise<Result> {
    const reserved = this.#turn.then(() => this.#reserve(need));
    this.#turn = reserved.catch(() => undefined);
    const entry = await reserved;
    try {
      return await run();
    } finally {
      entry.running--;
      this.#onEnd();
    }
  }

  /** Forgets the sessions of a model that was unloaded. */
  forget(model: number): void {
    for (const [key, entry] of this.#entries) if (entry.model === model) this.#entries.delete(key);
  }

  async #reserve(need: SessionNeed): Promise<Entry> {
    const { key, model, sessionBytes, arenaBytes, release } = need;
    for (;;) {
      const known = this.#entries.get(key);
      const more = known ? Math.max(0, arenaBytes - known.arenaBytes) : sessionBytes + arenaBytes;
      const { sessions, arenas } = this.bytes;
      const isFitting = sessions + arenas + more <= this.limit();
      if (!isFitting && (await this.#makeRoom(key))) continue;
      const entry = known ?? { model, sessionBytes, release, arenaBytes: 0, running: 0 };
      entry.arenaBytes = Math.max(entry.arenaBytes, arenaBytes);
      entry.running++;
      this.#entries.delete(key);
      this.#entries.set(key, entry);
      return entry;
    }
  }

  /** Releases a session that is idle, or waits for the end of a batch; false where there is neither. */
  async #makeRoom(except: string): Promise<boolean> {
    const others = [...this.#entries].filter(([key]) => key !== except);
    const idle = others.find(([, { running }]) => running === 0);
    if (idle) {
      const [key, { release }] = idle;
      this.#entries.delete(key);
      await release();
      return true;
    }
    if (!others.some(([, { running }]) => running > 0)) return false;
    await new Promise<void>((resolve) => {
      this.#onEnd = resolve;
    });
    return true;
  }
}
