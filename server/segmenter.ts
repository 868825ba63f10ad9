import { dirname } from 'node:path';
import { learntRange } from '../model/card.js';
import { readCard } from '../model/checkpoint.js';
import { Engine, type EngineModel, type EngineOptions, type TestedModel } from '../model/engine.js';
import { deviceFacts } from '../model/environment.js';
import type { OutputKind } from '../model/frozen.js';
import { channelConversion } from '../model/normalize.js';
import { bytesOf, pixelArray } from '../tiling/raster.js';
import { Preview } from '../tiling/sinks/preview.js';
import type { ImageSource } from '../tiling/source.js';
import { openImage } from '../tiling/sources/open.js';
import { derive } from './derive.js';
import { networkDigest } from './fingerprint.js';
import { atModelScale, checkSymmetries, planJob, thresholdOf } from './job-plan.js';
import type { PlanSpec, SegmentJob, WorkSpec } from './job-spec.js';
import { ModelShelf } from './models.js';
import { checkOutput, coloursOf, predictedFor, type ResultFile } from './outputs.js';
import { TilePredictor } from './predict.js';
import { imageFacts, modelFacts, planFacts, type Receipt, rangeFacts } from './receipt.js';
import { runJob } from './run-job.js';
import { Viewer, type ViewTile } from './viewer.js';

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

/** Models that are kept loaded; the least recently used is unloaded. */
const MAX_LOADED = 4;
/** A mask's file is at most so much larger than its pixels: overviews, and what does not compress. */
const PYRAMID = 1.35;

/** Segments files on one device: what the command line and a worker process both run. */
export class Segmenter {
  readonly shelf: ModelShelf;
  readonly #engine: Engine;
  readonly #predictor: TilePredictor;
  readonly #loaded = new Map<string, Promise<EngineModel>>();
  readonly #inUse = new Map<string, number>();
  readonly #viewer: Viewer;
  readonly #previews = new Map<string, () => Promise<Buffer>>();

  constructor(private readonly options: SegmenterOptions) {
    this.shelf = new ModelShelf(options.modelsDir);
    this.#engine = Engine.start(options.engine);
    this.#viewer = new Viewer(options);
    this.#predictor = new TilePredictor(this.#engine, options.onBatch, options.memory);
  }

  /** The device by its kind. */
  get device(): string {
    return this.options.engine.provider;
  }

  /** Tiles that wait for a batch. */
  get depth(): number {
    return this.#predictor.depth;
  }

  /** Segments one image. On failure nothing of the results is left, but for the journal. */
  async run(job: SegmentJob): Promise<Receipt> {
    for (const { output, format } of job.results) checkOutput(output, format);
    const opening = performance.now();
    const output = predictedFor(job.results);
    const receipt = await this.#with(job, { signal: job.signal, output }, async (image, model, folder) => {
      job.onStage?.('decode', performance.now() - opening);
      return runJob(job, image, model, {
        predict: this.#predictor.for(job.id, model, {
          ...job,
          threshold: thresholdOf(job, model, predictedFor(job.results)),
        }),
        network: await networkDigest(folder),
        preview: (source) => {
          const preview = new Preview(source.size);
          this.#previews.set(job.id, () => preview.png(coloursOf(model.card)));
          return preview;
        },
        maxPixels: this.options.maxPixels,
        memory: this.options.memory ?? Number.POSITIVE_INFINITY,
      });
    }).finally(() => this.#previews.delete(job.id));
    return { ...receipt, ...deviceFacts(await this.#engine.environment()) };
  }

  /** What `run` would do with an image, from its header alone. */
  plan(spec: PlanSpec) {
    return this.#with(spec, { headerOnly: true }, async (image, model) => {
      const { source } = spec.scale ? atModelScale(image, model) : { source: image };
      const { memory } = this.options;
      const {
        plan,
        warnings,
        conversion,
        memory: needed,
      } = planJob(source, model, {
        tile: spec.tile,
        ...(memory !== undefined && { memory }),
      });
      if (spec.symmetries) checkSymmetries(model);
      thresholdOf(spec, model, 'labels');
      const pixels = image.size.width * image.size.height;
      return {
        ...modelFacts(model),
        ...rangeFacts(image),
        image: imageFacts(image),
        plan: planFacts(plan),
        channels: conversion,
        device: deviceFacts(model.environment).device,
        warnings,
        expected: {
          /** Of the process that runs it, at most. */
          memoryBytes: needed,
          /** For labels: their journal and their file, at most. */
          diskBytes: Math.ceil(pixels * (1 + PYRAMID)),
          /** More, while it runs, for a picture that has to be unpacked. */
          scratchBytes: image.unpacked ? pixels * image.channels * bytesOf(image.dtype) : 0,
        },
      };
    });
  }

  /** How long an image's tiles would take, by running one of them: seconds. */
  estimate(spec: PlanSpec): Promise<number> {
    return this.#with(spec, { headerOnly: true }, async (image, model) => {
      const { source } = spec.scale ? atModelScale(image, model) : { source: image };
      const { plan } = planJob(source, model, { tile: spec.tile });
      const { width, height } = plan.tile;
      const predict = this.#predictor.for('estimate', model, {
        priority: 'interactive',
        symmetries: spec.symmetries,
      });
      const data = pixelArray(source.dtype, width * height * source.channels);
      const run = async () => {
        const tile = { data: data.slice(), width, height, channels: source.channels, count: 1 };
        return (await predict(tile, 'labels', new AbortController().signal)).ranMs;
      };
      await run(); // the first of a shape prepares its memory
      return (Math.min(await run(), await run()) * plan.count) / 1000;
    });
  }

  /** Makes more results of the finished mask of a job. */
  async derive(spec: PlanSpec, maskPath: string, results: readonly ResultFile[]): Promise<void> {
    await this.#with(spec, {}, async (source, { card }) => {
      const { maxPixels } = this.options;
      const mask = await openImage(maskPath, { scratchDir: dirname(maskPath), maxPixels, values: 'stored' });
      const { signal } = new AbortController();
      await derive(results, { mask, source, card, signal }).finally(() => mask.close());
    });
  }

  /** A tile of a job's image, or of its finished mask, in colours. */
  async viewTile(spec: PlanSpec, mask: string | null, tile: ViewTile): Promise<Buffer> {
    const open = { scratchDir: spec.scratchDir, maxPixels: this.options.maxPixels };
    const card = await readCard((await this.shelf.find(spec.model)).folder);
    if (mask !== null) return this.#viewer.maskTile(mask, open, tile, coloursOf(card));
    const { maxUnpackedBytes } = this.options;
    const choice = {
      ...open,
      ...spec.choice,
      maxUnpackedBytes,
      singleFile: spec.singleFile,
      learnt: learntRange(card),
    };
    return this.#viewer.imageTile(spec.input, choice, tile);
  }

  /** Closes what is shown of the files of a folder: they are about to go. */
  forget(folder: string): Promise<void> {
    return this.#viewer.forget(folder);
  }

  /** What is done of a running job's mask, as a PNG; null where no such job runs. */
  async preview(id: string): Promise<Buffer | null> {
    return (await this.#previews.get(id)?.()) ?? null;
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }

  /** Opens a spec's image and loads its model for the time of `work`. */
  async #with<Result>(
    { input, singleFile, choice, scratchDir, model: name, symmetries, threshold = null }: PlanSpec,
    {
      signal,
      headerOnly = false,
      output = 'labels',
    }: { readonly signal?: AbortSignal; readonly headerOnly?: boolean; readonly output?: OutputKind },
    work: (image: ImageSource, model: TestedModel, folder: string) => Promise<Result>,
  ): Promise<Result> {
    const { folder } = await this.shelf.find(name);
    const { maxPixels, maxUnpackedBytes, allowedHosts } = this.options;
    const learnt = learntRange(await readCard(folder));
    const open = {
      ...choice,
      learnt,
      scratchDir,
      maxPixels,
      maxUnpackedBytes,
      singleFile,
      allowedHosts,
      headerOnly,
      ...(signal && { signal }),
    };
    const image = await openImage(input, open);
    this.#inUse.set(folder, (this.#inUse.get(folder) ?? 0) + 1);
    try {
      const model = await this.#load(folder);
      const { dtype, channels } = image;
      // what the model cannot take is refused, in words, by whoever plans
      const exact =
        channelConversion(channels, model.card.inputChannels) !== null &&
        (await this.#engine.tested(model, {
          ...{ output, symmetries, dtype, channels },
          ...(isCut(threshold, output, model) && { threshold: true }),
        }));
      return await work(image, { ...model, exact }, folder);
    } finally {
      this.#inUse.set(folder, this.#inUse.get(folder)! - 1);
      await image.close();
    }
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
