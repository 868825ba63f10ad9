import { learntRange } from '../../model/card.js';
import { Engine, type EngineModel, type EngineOptions, type TestedModel } from '../../model/engine.js';
import { deviceFacts } from '../../model/environment.js';
import { readCard } from '../../model/model-files.js';
import type { OutputKind } from '../../model/output-kind.js';
import { channelConversion } from '../../model/pixels.js';
import { ModelShelf } from '../../model/shelf.js';
import { bytesOf, pixelArray } from '../../tiling/raster.js';
import { Preview } from '../../tiling/sinks/preview.js';
import type { ImageFacts, ImageSource } from '../../tiling/source.js';
import { openImage } from '../../tiling/sources/open.js';
import type { OpenOptions } from '../../tiling/sources/options.js';
import { coloursOf } from '../contract/colours.js';
import type { ImageHeader } from '../contract/image-header.js';
import type { PlanSpec, SegmentJob, WorkSpec } from '../contract/job-spec.js';
import { checkOutput, outputKindOf } from '../contract/outputs.js';
import { imageFacts, modelFacts, planFacts, type Receipt, rangeFacts } from '../contract/receipt.js';
import { expectedDisk } from './disk-use.js';
import { checkSymmetries, headerAtModelScale, type JobPlan, planJob, thresholdOf } from './job-plan.js';
import { TilePredictor } from './predict.js';
import { readHeader } from './read-header.js';
import { runJob } from './run-job.js';

export interface SegmenterOptions {
  readonly modelsDir: string;
  readonly maxPixels: number;
  /** Bytes that a picture may take of memory where it has to be unpacked as a whole. Default 1 GiB. */
  readonly maxUnpackedBytes?: number;
  /** Bytes that a job may take. Default any. */
  readonly memory?: number;
  /** Hosts that images may be read from by URL. */
  readonly allowedHosts?: readonly string[] | 'any';
  readonly engine: EngineOptions;
  /** Called after each batch: its tiles, and how long the device ran, in ms. */
  readonly onBatch?: (tiles: number, ranMs: number) => void;
}

/** What a plan is made of. */
interface PlannedImage {
  readonly image: ImageHeader;
  /** The image at the model's scale, where that is asked for. */
  readonly source: ImageHeader;
  readonly model: TestedModel;
  readonly outputs: NonNullable<PlanSpec['outputs']>;
  readonly output: OutputKind;
}

/** Models that are kept loaded; the least recently used is unloaded. */
const MAX_LOADED = 4;
/** What a job makes that is not told what. */
const DEFAULT_OUTPUTS: NonNullable<PlanSpec['outputs']> = [{ output: 'labels', format: 'tiff' }];

/** Segments files on one device: what the command line and a worker process both run. */
export class Segmenter {
  readonly shelf: ModelShelf;
  readonly #engine: Engine;
  readonly #predictor: TilePredictor;
  readonly #loaded = new Map<string, Promise<EngineModel>>();
  readonly #inUse = new Map<string, number>();
  readonly #previews = new Map<string, () => Promise<Buffer>>();

  constructor(private readonly options: SegmenterOptions) {
    this.shelf = new ModelShelf(options.modelsDir);
    this.#engine = Engine.start(options.engine);
    this.#predictor = new TilePredictor(this.#engine, options.onBatch, options.memory);
  }

  /** The device by its kind. */
  get device(): string {
    return this.options.engine.provider;
  }

  /** The batch that the device runs, in ms; null while it is idle. */
  get batch(): { readonly ranMs: number; readonly expectedMs: number } | null {
    const { running } = this.#predictor;
    return running && { ranMs: performance.now() - running.since, expectedMs: running.expectedMs };
  }

  /** Tiles that wait for a batch. */
  get depth(): number {
    return this.#predictor.depth;
  }

  /** Segments one image. On failure nothing of the results is left, but for the journal. */
  async run(job: SegmentJob): Promise<Receipt> {
    for (const { output, format } of job.results) checkOutput(output, format);
    const opening = performance.now();
    const output = outputKindOf(job.results);
    const receipt = await this.#with(job, output, async (image, model) => {
      job.onStage?.('decode', performance.now() - opening);
      return runJob(job, image, model, {
        predict: this.#predictor.for(job.id, model, {
          ...job,
          threshold: thresholdOf(job, model, output),
        }),
        preview: (source) => {
          const preview = new Preview(source.size);
          this.#previews.set(job.id, () => preview.png(coloursOf(model.card)));
          return preview;
        },
        maxPixels: this.options.maxPixels,
        maxUnpackedBytes: this.options.maxUnpackedBytes,
        memory: this.options.memory ?? Number.POSITIVE_INFINITY,
      });
    }).finally(() => this.#previews.delete(job.id));
    return { ...receipt, ...deviceFacts(await this.#engine.environment()) };
  }

  /**
   * What `run` would do with an image, from its header alone.
   * @param header the image's; read here where nobody has read it
   */
  plan(spec: PlanSpec, header?: ImageHeader) {
    return this.#plan(spec, header, async (planned, { image, source, model, outputs }) => {
      const { plan, warnings, conversion, memory } = planned;
      const pixels = image.size.width * image.size.height;
      const maskPixels = source.size.width * source.size.height;
      return {
        ...modelFacts(model),
        ...rangeFacts(image.facts),
        image: imageFacts(image),
        outputs: outputs.map(({ output: kind, format }) => ({ kind, format })),
        simplify: spec.simplify ?? 0,
        plan: planFacts(plan),
        channels: conversion,
        device: deviceFacts(model.environment).device,
        warnings,
        expected: {
          /** Of the process that runs it, at most. */
          memoryBytes: memory,
          /** Its journal and its files, at most; contours and tables are not counted. */
          diskBytes: expectedDisk(outputs, model.card, { pixels, maskPixels, width: source.size.width }),
          /** More, while it runs, for a picture that has to be unpacked. */
          scratchBytes: image.facts.isUnpacked
            ? pixels * image.facts.channels * bytesOf(image.facts.dtype)
            : 0,
        },
      };
    });
  }

  /** How long an image's tiles would take, by running one of them: seconds. */
  estimate(spec: PlanSpec, header?: ImageHeader): Promise<number> {
    return this.#plan(spec, header, async ({ plan }, { source, model, output }) => {
      const { width, height } = plan.tile;
      const predict = this.#predictor.for('estimate', model, {
        priority: 'interactive',
        symmetries: spec.symmetries,
      });
      const { dtype, channels } = source.facts;
      const data = pixelArray(dtype, width * height * channels);
      const run = async () => {
        const tile = { data: data.slice(), width, height, channels, count: 1 };
        return (await predict(tile, output, new AbortController().signal)).ranMs;
      };
      await run(); // the first of a shape prepares its memory
      return (Math.min(await run(), await run()) * plan.count) / 1000;
    });
  }

  /** What is done of a running job's mask, as a PNG; null where no such job runs. */
  async preview(id: string): Promise<Buffer | null> {
    return (await this.#previews.get(id)?.()) ?? null;
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }

  /** Plans an image, from its header alone, and gives `work` the plan with what it was made of. */
  #plan<Result>(
    spec: PlanSpec,
    given: ImageHeader | undefined,
    work: (planned: JobPlan, of: PlannedImage) => Promise<Result>,
  ): Promise<Result> {
    return this.#withModel(spec.model, async (folder) => {
      const image = given ?? (await readHeader(spec.input, await this.#openOptions(spec, folder)));
      const { outputs = DEFAULT_OUTPUTS } = spec;
      const output = outputKindOf(outputs);
      const model = await this.#tested(folder, image.facts, output, spec);
      const source = spec.scale ? headerAtModelScale(image, model) : image;
      if (spec.symmetries) checkSymmetries(model);
      thresholdOf(spec, model, output);
      const { memory } = this.options;
      const planned = planJob(source, model, {
        tile: spec.tile,
        output,
        ...(memory !== undefined && { memory }),
      });
      return work(planned, { image, source, model, outputs, output });
    });
  }

  /** How an image is opened for a model: by what the spec chooses, in the range that the model learned from. */
  async #openOptions({ choice, singleFile, scratchDir }: PlanSpec, folder: string): Promise<OpenOptions> {
    const { maxPixels, maxUnpackedBytes, allowedHosts } = this.options;
    const learnt = learntRange(await readCard(folder));
    return { ...choice, maxPixels, maxUnpackedBytes, allowedHosts, learnt, singleFile, scratchDir };
  }

  /** Opens a job's image and loads its model for the time of `work`. */
  #with<Result>(
    job: SegmentJob,
    output: OutputKind,
    work: (image: ImageSource, model: TestedModel) => Promise<Result>,
  ): Promise<Result> {
    return this.#withModel(job.model, async (folder) => {
      const open = await this.#openOptions(job, folder);
      const opening = openImage(job.input, { ...open, signal: job.signal });
      const image = await (job.watch?.(opening) ?? opening);
      try {
        return await work(image, await this.#tested(folder, image.facts, output, job));
      } finally {
        await image.close();
      }
    });
  }

  /** Finds a model's folder, and keeps what is loaded of it loaded for the time of `work`. */
  async #withModel<Result>(
    name: string | undefined,
    work: (folder: string) => Promise<Result>,
  ): Promise<Result> {
    const { folder } = await this.shelf.find(name);
    this.#inUse.set(folder, (this.#inUse.get(folder) ?? 0) + 1);
    try {
      return await work(folder);
    } finally {
      this.#inUse.set(folder, this.#inUse.get(folder)! - 1);
    }
  }

  /** Loads a model, and has the graph tested that an image and what is to be made of it ask for. */
  async #tested(
    folder: string,
    { dtype, channels }: Pick<ImageFacts, 'dtype' | 'channels'>,
    output: OutputKind,
    { symmetries, threshold = null }: Pick<WorkSpec, 'symmetries' | 'threshold'>,
  ): Promise<TestedModel> {
    const model = await this.#load(folder);
    // what the model cannot take is refused, in words, by whoever plans
    const exact =
      channelConversion(channels, model.card.inputChannels) !== null &&
      (await this.#engine.tested(
        model,
        { output, symmetries, dtype, channels, ...(isCut(threshold, output, model) && { threshold: true }) },
        this.#predictor.testing(model),
      ));
    return { ...model, exact };
  }

  async #load(folder: string): Promise<EngineModel> {
    const known = this.#loaded.get(folder);
    this.#loaded.delete(folder);
    const model = known ?? this.#engine.load(folder);
    this.#loaded.set(folder, model);
    try {
      await model;
    } catch (error) {
      this.#loaded.delete(folder);
      throw error;
    }
    for (const [oldest, loaded] of this.#loaded) {
      if (this.#loaded.size <= MAX_LOADED) break;
      if ((this.#inUse.get(oldest) ?? 0) > 0) continue;
      this.#loaded.delete(oldest);
      await this.#engine.unload((await loaded).id);
    }
    return model;
  }
}

/** Whether labels are cut at a threshold; what refuses it otherwise comes later, in words. */
function isCut(threshold: WorkSpec['threshold'], output: OutputKind, { card }: EngineModel): boolean {
  return threshold !== null && output !== 'probabilities' && card.classes.length === 2;
}
