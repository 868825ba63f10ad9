import type { ComputeChoice } from '../../model/compute-choice.js';
import type { Provider } from '../../model/devices/device.js';
import type { EngineModel } from '../../model/engine/engine.js';
import { Outcomes } from '../../model/exactness/outcomes.js';
import type { GraphUse } from '../../model/exactness/self-test.js';
import type { Size } from '../../tiling/geometry.js';
import { AUTO_SIDES_PX, chooseTile } from '../../tiling/plan.js';
import { formatBytes } from '../contract/byte-size.js';
import { RequestError } from '../contract/errors.js';
import { codeOf } from '../contract/problems.js';
import { defaultChoice } from './default-choice.js';
import { measureSpeed } from './measure-speed.js';
import { lanesFit, type Memories } from './memory.js';
import type { TilePredictor } from './predict.js';
import {
  type Choice,
  divisionsOf,
  type Measurement,
  measureAll,
  type SearchSpace,
  searchChoice,
  type Tuning,
  tuningSchema,
} from './tuning.js';

/** Time limit of a search; a measurement that is under way then is finished. */
const BUDGET_MS = 6000;
/** An image of at least this many tiles repays a search at once. */
const WORTHWHILE_TILES = 32;

export interface TunerOptions extends Memories {
  /** Default `cpu`. */
  readonly provider?: Provider;
  /** Threads of the device, at least 1. */
  readonly threads: number;
  /** The requested number of lanes, at most `threads`. Default: every division is tried. */
  readonly lanes?: number | undefined;
  /** File that persists what was found, in a folder that exists; null for none. */
  readonly path: string | null;
  /** Called with a model before it is measured for a job. */
  readonly onSearch?: ((model: EngineModel) => void) | undefined;
  /** Called with the choice for a model when it is made, or found in the file; again where its versions take turns. */
  readonly onChoice?: ((model: EngineModel, tuning: Tuning) => void) | undefined;
}

/** How a model is used: the graph that is measured. */
export type MeasuredUse = Pick<GraphUse, 'output' | 'channels' | 'scaled'>;

/** How a model may be computed, and what the outcome of a search among it depends on. */
interface ModelSpace {
  readonly space: SearchSpace;
  readonly key: object;
}

/** Chooses how models are computed on this device, by measurements, once for each, and stores it. */
export class Tuner {
  readonly #tunings: Outcomes<Tuning>;
  readonly #spaces = new WeakMap<EngineModel, ModelSpace>();
  /** The latest tuning of each model, by name, that `onChoice` was called with. */
  readonly #reported = new Map<string, Tuning>();

  constructor(
    private readonly predictor: Pick<TilePredictor, 'for'>,
    private readonly options: TunerOptions,
  ) {
    this.#tunings = new Outcomes(options.path, tuningSchema);
  }

  /**
   * How a model is computed: as was found before; or else, for an image that repays it, as is found now; or else by
   * default.
   *
   * @param now the image that is to be segmented, and the signal that interrupts the search; null to search for nothing
   */
  async choiceFor(
    model: EngineModel,
    use: MeasuredUse,
    now: { readonly size: Size; readonly signal: AbortSignal } | null,
  ): Promise<ComputeChoice> {
    const { space, key } = this.#spaceOf(model);
    const byDefault = defaultChoice(model.card, this.options, this.options);
    if (!model.geometry.tileable) return byDefault;
    const known = await this.#tunings.known(key);
    if (known) return this.#found(model, known);
    if (now === null || !isWorthwhile(now.size, byDefault)) return byDefault;
    try {
      const found = await this.#tunings.of(key, () => this.#search(model, use, space, now.signal));
      return this.#found(model, found);
    } catch (error) {
      now.signal.throwIfAborted();
      // the job that searched was cancelled, or a tile did not fit after all: the default is known to work
      if (codeOf(error) === 'engine-lost') throw error;
      return byDefault;
    }
  }

  /** What was found for a model; undefined where nothing was. */
  known(model: EngineModel): Promise<Tuning | undefined> {
    return this.#tunings.known(this.#spaceOf(model).key);
  }

  /**
   * Measures every way to compute a model that fits into the memory, and stores the choice.
   * @throws RequestError `too-little-memory` where none does
   */
  async measureAll(
    model: EngineModel,
    use: MeasuredUse,
    signal: AbortSignal,
    onMeasured: (measurement: Measurement) => void,
  ): Promise<Tuning> {
    const { space, key } = this.#spaceOf(model);
    const tuning = await this.#timed(() =>
      measureAll(space, (choice) => this.#measure(model, use, choice, signal), onMeasured),
    );
    if (tuning.measurements.length === 0) {
      const { name } = model.card;
      const message = `no way to compute ${name} fits into ${formatBytes(this.options.memory)}: raise --memory`;
      throw new RequestError('too-little-memory', message);
    }
    await this.#tunings.set(key, tuning);
    return tuning;
  }

  #found(model: EngineModel, tuning: Tuning): ComputeChoice {
    const { name } = model.card;
    if (this.#reported.get(name) !== tuning) this.options.onChoice?.(model, tuning);
    this.#reported.set(name, tuning);
    return { ...tuning.choice, isMeasured: true };
  }

  #search(model: EngineModel, use: MeasuredUse, space: SearchSpace, signal: AbortSignal): Promise<Tuning> {
    const started = performance.now();
    this.options.onSearch?.(model);
    return this.#timed(() =>
      searchChoice(
        space,
        (choice) => this.#measure(model, use, choice, signal),
        () => performance.now() - started > BUDGET_MS,
      ),
    );
  }

  async #timed(search: () => Promise<Pick<Tuning, 'choice' | 'measurements'>>): Promise<Tuning> {
    const started = performance.now();
    return { ...(await search()), tookMs: Math.round(performance.now() - started) };
  }

  /** Batches go before those of jobs, which would distort the measurement; each takes a fraction of a second. */
  #measure(
    { id, geometry }: EngineModel,
    use: MeasuredUse,
    choice: Choice,
    signal: AbortSignal,
  ): Promise<number> {
    const predict = this.predictor.for(
      `tuning ${id}`,
      { id, exact: true, choice: { ...choice, isMeasured: false } },
      { priority: 'interactive', canTakeAll: false },
    );
    return measureSpeed(predict, geometry, choice, { ...use, signal });
  }

  /** Computed once for each model: it takes longer than what else is decided about a small image. */
  #spaceOf(model: EngineModel): ModelSpace {
    const known = this.#spaces.get(model) ?? this.#computeSpace(model);
    this.#spaces.set(model, known);
    return known;
  }

  #computeSpace(model: EngineModel): ModelSpace {
    const { card, geometry, digest, environment } = model;
    const { provider = 'cpu', threads, lanes } = this.options;
    const { isMeasured: _, ...start } = defaultChoice(card, this.options, this.options);
    const tilePx = (outputPx: number): number => {
      const tile = chooseTile({ width: outputPx, height: outputPx }, 'auto', geometry, outputPx);
      return tile.width * tile.height;
    };
    // a GPU needs large batches, and is no faster with smaller ones
    const isBatchGiven = provider !== 'cpu';
    const fits = (choice: Choice): boolean =>
      lanesFit(choice.lanes, card, Math.max(choice.batch, tilePx(choice.tile)), this.options);
    const divisions =
      lanes === undefined ? divisionsOf(threads) : [{ lanes: start.lanes, threads: start.threads }];
    const sides = divisions.map((division) =>
      AUTO_SIDES_PX.filter((tile) => fits({ ...division, tile, batch: 1 })),
    );
    return {
      space: { start, divisions, fits, isBatchGiven, tilePx },
      key: { digest, environment, divisions, fitting: sides },
    };
  }
}

const isWorthwhile = ({ width, height }: Size, { tile }: ComputeChoice): boolean =>
  width * height >= WORTHWHILE_TILES * tile * tile;
