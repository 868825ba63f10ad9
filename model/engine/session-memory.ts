import { SessionBudget, type SessionNeed } from './session-budget.js';
import { arenaBytes, batchBytes, gpuSessionBytes, type ModelSize, sessionBytes } from './session-bytes.js';

/** A batch, and the session that computes it. */
export interface BatchNeed extends Pick<SessionNeed, 'key' | 'model' | 'release'> {
  readonly lane: number;
  readonly card: ModelSize;
  /** Px of the batch. */
  readonly px: number;
}

export interface SessionLimits {
  /** Bytes of the host's memory that sessions may take at present. */
  readonly host: () => number;
  /** Bytes of each GPU's memory that they may take; undefined where lanes compute on the host. */
  readonly gpu: () => number | undefined;
}

/**
 * The memory of sessions where it is: that of the CPU's in the host's memory; that of a GPU's in its own, and beside it
 * in the host's the copies of weights and batches.
 */
export class SessionMemory {
  readonly #host: SessionBudget;
  /** By lane: each is a GPU. */
  readonly #gpus = new Map<number, SessionBudget>();

  constructor(private readonly limits: SessionLimits) {
    this.#host = new SessionBudget(limits.host);
  }

  /** Bytes of the host's memory, as estimated. */
  get bytes(): SessionBudget['bytes'] {
    return this.#host.bytes;
  }

  /** Runs a batch when there is memory for it. */
  run<Result>({ lane, card, px, ...session }: BatchNeed, run: () => Promise<Result>): Promise<Result> {
    const own = { ...session, sessionBytes: sessionBytes(card) };
    if (this.limits.gpu() === undefined) {
      return this.#host.run({ ...own, arenaBytes: arenaBytes(card, px) }, run);
    }
    const onGpu = { ...session, sessionBytes: gpuSessionBytes(card), arenaBytes: arenaBytes(card, px) };
    return this.#host.run({ ...own, arenaBytes: batchBytes(card, px) }, () =>
      this.#gpu(lane).run(onGpu, run),
    );
  }

  /** Forgets the sessions of a model that was unloaded. */
  forget(model: number): void {
    for (const budget of [this.#host, ...this.#gpus.values()]) budget.forget(model);
  }

  #gpu(lane: number): SessionBudget {
    const known = this.#gpus.get(lane);
    if (known) return known;
    const budget = new SessionBudget(() => this.limits.gpu() ?? Number.POSITIVE_INFINITY);
    this.#gpus.set(lane, budget);
    return budget;
  }
}
