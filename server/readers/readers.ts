import { setTimeout } from 'node:timers/promises';
import type { Card } from '../../model/shelf/card.js';
import { SourceUnreachableError } from '../../tiling/errors.js';
import { coloursOf } from '../contract/colours.js';
import type { ViewPlane, ViewTile } from '../contract/deep-zoom.js';
import { RequestError } from '../contract/errors.js';
import type { ImageHeader } from '../contract/image-header.js';
import type { PlanSpec } from '../contract/job-spec.js';
import type { ResultFile } from '../contract/outputs.js';
import { viewFor } from '../pipeline/model-view.js';
import type { ReaderLimits } from './methods.js';
import { type PoolOptions, ReaderFailedError, ReaderPool } from './pool.js';

export interface ReadersOptions extends ReaderLimits {
  /** Time limit for reading an image's header, in ms. Default 30,000. */
  readonly headerMs?: number;
  /** Discards what the processes print: libraries may name images there. Default false. */
  readonly isSilent?: boolean;
  /** Called with why a process was lost. Default: not called. */
  readonly onDeath?: PoolOptions['onDeath'];
}

/** Time limit of a tile, whose image may have to be unpacked and downscaled first. */
const TILE_MS = 300_000;
/** Time limit of results derived from a mask, plus a second for each million px. */
const DERIVE_MS = 300_000;
/** How long a removal waits for files to be closed. */
const EVICT_MS = 1000;
/** Calls that wait for a reader, at most. */
export const MAX_PENDING = { headers: 256, tiles: 64, results: 16 } as const;
/** After this many failures, an image or a result is refused for `REFUSED_MS`. */
const MAX_FAILURES = 2;
const REFUSED_MS = 600_000;
const MAX_TRACKED = 1000;

/**
 * Reads images outside of jobs: headers, tiles for viewers, and results that are derived from finished masks. This
 * happens in small processes, so that no file that a client names can crash a job's worker.
 */
export class Readers {
  readonly #headers: ReaderPool;
  /** One process, so that its open images serve the next tile. */
  readonly #tiles: ReaderPool;
  readonly #results: ReaderPool;
  /** How often an image or a result has failed its processes, and when last; the most recent last. */
  readonly #failures = new Map<string, { count: number; at: number }>();

  constructor({ headerMs = 30_000, isSilent = false, onDeath, ...limits }: ReadersOptions) {
    this.#headers = new ReaderPool({
      operation: 'reading the header',
      minProcesses: 1,
      maxProcesses: 4,
      maxPending: MAX_PENDING.headers,
      timeoutMs: headerMs,
      heapMb: 128,
      isSilent,
      limits,
      onDeath,
    });
    this.#tiles = new ReaderPool({
      operation: 'showing the image',
      minProcesses: 0,
      maxProcesses: 1,
      maxPending: MAX_PENDING.tiles,
      timeoutMs: TILE_MS,
      heapMb: 1024,
      isSilent,
      limits,
      onDeath,
    });
    this.#results = new ReaderPool({
      operation: 'deriving the result',
      minProcesses: 0,
      maxProcesses: 1,
      maxPending: MAX_PENDING.results,
      timeoutMs: DERIVE_MS,
      heapMb: 2048,
      isSilent,
      limits,
      onDeath,
    });
  }

  /** Process ids of the readers of headers. */
  get headerPids(): number[] {
    return this.#headers.pids;
  }

  /** Process ids of all readers, by what they read. */
  get pids() {
    return { headers: this.#headers.pids, tiles: this.#tiles.pids, results: this.#results.pids };
  }

  /**
   * An image's metadata.
   * @throws SourceUnreachableError; ReaderFailedError where its header cannot be read at all; RemoteError with the
   *   code of what else is wrong with it
   */
  header(spec: PlanSpec, card: Card): Promise<ImageHeader> {
    return this.#headers.call('header', [imageOf(spec, card)]).catch((error: unknown) => {
      if (!(error instanceof ReaderFailedError) || !/^https?:/.test(spec.input)) throw error;
      throw new SourceUnreachableError(`the image cannot be fetched: ${error.message}`, { cause: error });
    });
  }

  /**
   * A tile of an image, or of its finished mask in its classes' colours.
   * @param plane of a stack, whose image is that of the spec; null for an image of one plane
   * @param removal aborted where the files are about to be removed
   */
  tile(
    spec: PlanSpec,
    card: Card,
    mask: string | null,
    tile: ViewTile,
    {
      plane,
      signal,
      removal,
    }: {
      readonly plane: ViewPlane | null;
      readonly signal?: AbortSignal | undefined;
      readonly removal: AbortSignal;
    },
  ): Promise<Buffer> {
    const { scratchDir } = spec;
    const options = { signal, removal };
    return this.#unlessFailing(`${scratchDir}/${mask === null ? 'image' : 'mask'}`, () =>
      mask === null
        ? this.#tiles.call('imageTile', [imageOf(spec, card), tile], options)
        : this.#tiles.call(
            'maskTile',
            [mask, scratchDir, tile, plane?.mask ?? null, coloursOf(card)],
            options,
          ),
    );
  }

  /**
   * Derives results from a finished mask.
   * @param pixels of the mask, by which its time is limited
   * @param removal aborted where the files are about to be removed
   */
  derive(
    spec: PlanSpec,
    card: Card,
    mask: string,
    results: readonly ResultFile[],
    { pixels, removal }: { readonly pixels: number; readonly removal: AbortSignal },
  ): Promise<void> {
    const timeoutMs = DERIVE_MS + pixels / 1000;
    const key = results.map(({ path }) => path).join();
    return this.#unlessFailing(key, () =>
      this.#results.call('derive', [imageOf(spec, card), card, mask, results], { timeoutMs, removal }),
    );
  }

  /**
   * Closes the open images below a folder: its files are about to be removed. Behind a tile of another image, which may
   * be unpacked for minutes, that is not waited for: files that are only open can be removed, too.
   */
  async evict(folder: string): Promise<void> {
    for (const key of this.#failures.keys()) if (key.includes(folder)) this.#failures.delete(key);
    if (!this.#tiles.isRunning) return;
    const closed = this.#tiles.call('evict', [folder], { isUrgent: true }).catch(() => undefined);
    await Promise.race([closed, setTimeout(EVICT_MS, undefined, { ref: false })]);
  }

  async close(): Promise<void> {
    await Promise.all([this.#headers, this.#tiles, this.#results].map((pool) => pool.close()));
  }

  /**
   * A circuit breaker: calls, unless the key has failed its processes repeatedly, and recently.
   * @throws RequestError `worker-killer`
   */
  async #unlessFailing<Value>(key: string, call: () => Promise<Value>): Promise<Value> {
    const failures = this.#failures.get(key);
    if (failures && failures.count >= MAX_FAILURES && performance.now() - failures.at < REFUSED_MS) {
      const message = `it crashed its process ${failures.count} times, and is not retried for ${REFUSED_MS / 60_000} minutes`;
      throw new RequestError('worker-killer', message);
    }
    try {
      return await call();
    } catch (error) {
      if (error instanceof ReaderFailedError) this.#recordFailure(key, (failures?.count ?? 0) + 1);
      throw error;
    }
  }

  #recordFailure(key: string, count: number): void {
    this.#failures.delete(key);
    this.#failures.set(key, { count, at: performance.now() });
    for (const oldest of this.#failures.keys()) {
      if (this.#failures.size <= MAX_TRACKED) break;
      this.#failures.delete(oldest);
    }
  }
}

const imageOf = ({ input, singleFile = false, choice, scratchDir }: PlanSpec, card: Card) => ({
  input,
  singleFile,
  choice,
  scratchDir,
  ...viewFor(card),
});
