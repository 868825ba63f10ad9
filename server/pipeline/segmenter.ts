import { trainingRangeOf } from '../../model/card.js';
import {
  Engine,
  type EngineMemory,
  type EngineModel,
  type EngineOptions,
  type TestedModel,
} from '../../model/engine.js';
import { deviceFacts } from '../../model/environment.js';
import type { OutputKind } from '../../model/output-kind.js';
import { channelConversion } from '../../model/pixels.js';
import type { GraphUse } from '../../model/self-test.js';
import { type FoundModel, ModelShelf } from '../../model/shelf.js';
import type { Size } from '../../tiling/geometry.js';
import { bytesOf, pixelArray } from '../../tiling/raster.js';
import { BandJournal } from '../../tiling/sinks/journal.js';
import { Preview } from '../../tiling/sinks/preview.js';
import { openImage } from '../../tiling/sources/open.js';
import type { OpenOptions } from '../../tiling/sources/options.js';
import { coloursOf } from '../contract/colours.js';
import type { ImageHeader } from '../contract/image-header.js';
import type { JobFacts } from '../contract/job-facts.js';
import type { PlanSpec, WorkSpec } from '../contract/job-spec.js';
import { checkOutput, outputKindOf } from '../contract/outputs.js';
import type { Receipt } from '../contract/receipt.js';
import { expectedDisk } from './disk-use.js';
import { tileOf } from './fingerprint.js';
import { JobMemory } from './job-memory.js';
import type { PlanOptions } from './job-plan.js';
import { LoadedModels } from './loaded-models.js';
import { LANE_HEAP_MB, loadedBytes, plannableBytes, sharedBytes } from './memory.js';
import { TilePredictor } from './predict.js';
import { type PreparedJob, prepareJob } from './prepare.js';
import { readHeader } from './read-header.js';
import { computeFacts, imageFacts, modelFacts, planFacts, rangeFacts } from './receipt.js';
import { runJob } from './run-job.js';
import type { SegmentJob } from './segment-job.js';
import { TileCache } from './tile-cache.js';
import { Tuner, type TunerOptions } from './tuner.js';
import type { Measurement, Tuning } from './tuning.js';

export interface SegmenterOptions {
  readonly modelsDir: string;
  readonly maxPixels: number;
  /** Bytes of memory for a picture that has to be unpacked as a whole. Default 1 GiB. */
  readonly maxUnpackedBytes?: number;
  /** Bytes of memory that the process may take, the tile cache included. Default unlimited. */
  readonly memory?: number;
  /** Bytes of `memory` for the results of tiles that occur more than once. Default 0: every tile is computed. */
  readonly tileCacheBytes?: number;
  /** Hosts that images may be read from by URL. */
  readonly allowedHosts?: readonly string[] | 'any';
  readonly engine: EngineOptions;
  /** File that persists how models are computed fastest, in a folder that exists. Default none. */
  readonly tunings?: string;
  /** Called with how a model is computed, when that was measured or read. */
  readonly onChoice?: TunerOptions['onChoice'];
  /** Called after each batch: its tiles, and its share of the device's time, in ms. */
  readonly onBatch?: (tiles: number, deviceMs: number) => void;
  /** Called after each change of what the tile cache holds, in bytes. */
  readonly onTileCache?: (bytes: number) => void;
}

/** Memory in bytes, by what it is for. */
export interface MemoryUse extends EngineMemory {
  /** Chunks, tiles and bands of running jobs. */
  readonly jobs: number;
  /** The tile cache. */
  readonly tiles: number;
}

/** The results of a plan whose request names none. */
const DEFAULT_OUTPUTS: NonNullable<PlanSpec['outputs']> = [{ output: 'labels', format: 'tiff' }];

/** Segments files on one device: what the command line and a worker process both run. */
export class Segmenter {
  readonly #engine: Engine;
  readonly #models: LoadedModels;
  readonly #predictor: TilePredictor;
  readonly #tiles: TileCache;
  readonly #tuner: Tuner;
  readonly #memory: Required<Pick<PlanOptions, 'memory' | 'reserved' | 'tileCache'>>;
  readonly #jobs: JobMemory;
  /** Of running jobs, by their ids. */
  readonly #previews = new Map<string, () => Promise<Buffer>>();

  constructor(private readonly options: SegmenterOptions) {
    const { memory: limit = Number.POSITIVE_INFINITY, tileCacheBytes: tileCache = 0 } = options;
    const isLimited = limit !== Number.POSITIVE_INFINITY;
    this.#engine = Engine.start({ ...options.engine, ...(isLimited && { heapMb: LANE_HEAP_MB }) });
    const shelf = new ModelShelf(options.modelsDir);
    this.#models = new LoadedModels(shelf, this.#engine, loadedBytes(limit, options.engine.threads));
    const plannable = plannableBytes(limit);
    this.#memory = { memory: limit, reserved: isLimited ? limit - plannable : 0, tileCache };
    const shared = sharedBytes(limit, tileCache);
    this.#engine.limit = shared;
    this.#jobs = new JobMemory(shared, (jobBytes) => {
      this.#engine.limit = shared - jobBytes;
    });
    this.#predictor = new TilePredictor(this.#engine, options.onBatch);
    this.#tuner = new Tuner(this.#predictor, {
      ...options.engine,
      memory: plannable - tileCache,
      path: options.tunings ?? null,
      onChoice: options.onChoice,
    });
    this.#tiles = new TileCache(tileCache, options.onTileCache);
  }

  /** The batches that the device runs, in ms. */
  get batches(): readonly { readonly ranMs: number; readonly expectedMs: number }[] {
    const now = performance.now();
    return this.#predictor.running.map(({ since, expectedMs }) => ({ ranMs: now - since, expectedMs }));
  }

  /** What the process takes in bytes, by what it is for: as estimated, but for the tile cache. */
  get memory(): MemoryUse {
    return { ...this.#engine.memory, jobs: this.#jobs.taken, tiles: this.#tiles.bytes };
  }

  /** Tiles that are queued for a batch. */
  get depth(): number {
    return this.#predictor.depth;
  }

  /** Segments one image. On failure nothing of the results is left, but for the journal. */
  async run(job: SegmentJob): Promise<Receipt> {
    for (const { output, format } of job.results) checkOutput(output, format);
    const started = performance.now();
    return this.#models.use(job.model, async (found) => {
      const opening = openImage(job.input, { ...this.#openOptions(job, found), signal: job.signal });
      const image = await (job.watch?.(opening) ?? opening);
      try {
        const prepared = await this.#prepare(job, job.results, image, found, job);
        const { model, choice, threshold } = prepared;
        job.onStage?.('decode', performance.now() - started);
        this.#engine.prepare(model.id, Math.min(choice.lanes, prepared.plan.count));
        const need = { own: prepared.jobMemory, shared: prepared.computeMemory };
        const { id, priority, signal } = job;
        const tools = {
          predict: this.#tiles.around(this.#predictor.for(id, { ...model, choice }, { ...job, threshold }), {
            ...job,
            network: model.digest,
            threshold,
            threads: model.exact ? null : choice.threads,
          }),
          preview: ({ size }: Pick<ImageHeader, 'size'>) => {
            const preview = new Preview(size);
            this.#previews.set(id, () => preview.png(coloursOf(model.card)));
            return preview;
          },
          maxPixels: this.options.maxPixels,
          maxUnpackedBytes: this.options.maxUnpackedBytes,
        };
        const receipt = await this.#jobs.withMemory(need, priority, signal, () =>
          runJob(job, image, prepared, tools),
        );
        return { ...receipt, ...deviceFacts(model.environment, choice), compute: computeFacts(choice) };
      } finally {
        this.#previews.delete(job.id);
        await image.close();
      }
    });
  }

  /**
   * What `run` would do with an image, from its header alone.
   * @param header the image's; read here where nobody has read it
   */
  async plan(spec: PlanSpec, header?: ImageHeader): Promise<JobFacts> {
    const { outputs = DEFAULT_OUTPUTS, simplify = 0 } = spec;
    return this.#withPrepared(spec, header, async (prepared, image) => {
      const { model, plan, choice, scale, conversion, warnings, memory } = prepared;
      const { size, facts } = image;
      const masks = scale?.size ?? size;
      const pixels = size.width * size.height;
      return {
        ...modelFacts(model),
        ...rangeFacts(facts),
        image: imageFacts(image),
        isOneFile: facts.hasOtherFiles !== true,
        outputs: outputs.map(({ output: kind, format }) => ({ kind, format })),
        simplify,
        plan: planFacts(plan),
        channels: conversion,
        device: deviceFacts(model.environment, choice).device,
        compute: computeFacts(choice),
        warnings,
        expected: {
          memoryBytes: memory,
          diskBytes: expectedDisk(outputs, model.card, {
            pixels,
            maskPixels: masks.width * masks.height,
            width: masks.width,
          }),
          scratchBytes: facts.isUnpacked ? pixels * facts.channels * bytesOf(facts.dtype) : 0,
        },
      };
    });
  }

  /** How long an image's tiles would take, by running one of them as they would be: seconds. */
  estimate(spec: PlanSpec, header?: ImageHeader): Promise<number> {
    return this.#withPrepared(spec, header, async ({ model, plan, choice, output }, { facts }) => {
      const { width, height } = plan.tile;
      const { channels, dtype } = facts;
      const { symmetries } = spec;
      const canTakeAll = plan.count < choice.lanes;
      const rounds = canTakeAll ? plan.count : Math.ceil(plan.count / choice.lanes);
      const predict = this.#predictor.for(
        'estimate',
        { ...model, choice },
        { priority: 'interactive', symmetries, canTakeAll },
      );
      const data = pixelArray(dtype, width * height * channels);
      const run = async () => {
        const tile = { data: data.slice(), width, height, channels, count: 1 };
        return (await predict(tile, output, new AbortController().signal)).ranMs;
      };
      await run(); // the first of a shape prepares its memory
      return (Math.min(await run(), await run()) * rounds) / 1000;
    });
  }

  /** How a model was measured to be computed fastest; undefined where it was not. */
  tuningOf(name: string): Promise<Tuning | undefined> {
    return this.#models.use(name, async (found) => this.#tuner.known(await this.#models.load(found)));
  }

  /**
   * Measures every way to compute a model on this device, and remembers the fastest.
   * @param onMeasured called with each way, and its Mpx of output a second
   */
  tune(
    name: string,
    signal: AbortSignal,
    onMeasured: (measurement: Measurement) => void,
  ): Promise<{ readonly tuning: Tuning; readonly device: string }> {
    return this.#models.use(name, async (found) => {
      const model = await this.#models.load(found);
      const use = { output: 'labels', channels: model.card.inputChannels } as const;
      const tuning = await this.#tuner.measureAll(model, use, signal, onMeasured);
      return { tuning, device: deviceFacts(model.environment, tuning.choice).device };
    });
  }

  /** The finished part of a running job's mask, as a PNG; null where no such job runs. */
  async preview(id: string): Promise<Buffer | null> {
    return (await this.#previews.get(id)?.()) ?? null;
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }

  /** Prepares a job from its image's header, for the time of `work`. */
  #withPrepared<Result>(
    spec: PlanSpec,
    header: ImageHeader | undefined,
    work: (prepared: PreparedJob, image: ImageHeader) => Promise<Result>,
  ): Promise<Result> {
    return this.#models.use(spec.model, async (found) => {
      const image = header ?? (await readHeader(spec.input, this.#openOptions(spec, found)));
      return work(await this.#prepare(spec, spec.outputs ?? DEFAULT_OUTPUTS, image, found), image);
    });
  }

  async #prepare(
    spec: WorkSpec,
    outputs: NonNullable<PlanSpec['outputs']>,
    image: ImageHeader,
    found: FoundModel,
    job: SegmentJob | null = null,
  ): Promise<PreparedJob> {
    const output = outputKindOf(outputs);
    const model = await this.#tested(found, image, output, spec, job?.signal ?? null);
    const preferred = job?.journal ? await earlierTile(job.journal) : null;
    const prepare = (tested: TestedModel) =>
      prepareJob(spec, image, tested, {
        output,
        batch: this.options.engine.batch,
        preferred,
        ...this.#memory,
      });
    const prepared = prepare(model);
    const { threads } = prepared.choice;
    if (!model.exact || threads === model.choice.threads) return prepared;
    // the memory has room for fewer lanes, of more threads than were tested
    return (await this.#isExact(model, threads, image, output, spec))
      ? prepared
      : prepare({ ...model, exact: false });
  }

  /** How an image is opened for a model: by what the spec chooses, in the range of the model's training data. */
  #openOptions({ choice, singleFile, scratchDir }: PlanSpec, { card }: FoundModel): OpenOptions {
    const { maxPixels, maxUnpackedBytes, allowedHosts } = this.options;
    const trainingRange = trainingRangeOf(card);
    return { ...choice, maxPixels, maxUnpackedBytes, allowedHosts, trainingRange, singleFile, scratchDir };
  }

  /** Loads a model, finds how it is computed fastest, and tests it so for an image and its outputs. */
  async #tested(
    found: FoundModel,
    image: ImageHeader,
    output: OutputKind,
    spec: WorkSpec,
    signal: AbortSignal | null,
  ): Promise<TestedModel> {
    const loaded = await this.#models.load(found);
    const { channels } = image.facts;
    const isUsable = channelConversion(channels, loaded.card.inputChannels) !== null;
    const now = signal && isUsable ? { size: image.size, signal } : null;
    const choice = await this.#tuner.choiceFor(loaded, { output, channels }, now);
    // What the model cannot take is refused where the job is prepared: there is no graph of it to be tested.
    const exact = isUsable && (await this.#isExact(loaded, choice.threads, image, output, spec));
    return { ...loaded, choice, exact };
  }

  /** Tests the very graph on this device that an image and its outputs need, with a number of threads. */
  #isExact(
    model: EngineModel,
    threads: number,
    { facts: { channels } }: ImageHeader,
    output: OutputKind,
    { symmetries, threshold = null }: WorkSpec,
  ): Promise<boolean> {
    const isThresholded = threshold !== null && output !== 'probabilities' && model.card.classes.length === 2;
    const use: GraphUse = { output, symmetries, channels, ...(isThresholded && { threshold: true }) };
    return this.#engine.tested(model, use, threads, this.#predictor.testing(model.id));
  }
}

/** The tile of the run that a journal is of, so that `auto` goes on with it, whatever was measured meanwhile. */
async function earlierTile(journal: string): Promise<Size | null> {
  const key = await BandJournal.keyOf(journal);
  return key === null ? null : tileOf(key);
}
