import { Engine, type EngineModel, type EngineOptions } from '../model/engine.js';
import type { TileChoice } from '../tiling/plan.js';
import { openImage } from '../tiling/sources/open.js';
import { checkSymmetries, planJob } from './job-plan.js';
import { ModelShelf } from './models.js';
import { checkOutput, type Format, type Output, openSink, predicted } from './outputs.js';
import { TilePredictor } from './predict.js';
import { imageFacts, modelFacts, planFacts, type Receipt } from './receipt.js';
import { type Stage, segment } from './segment.js';

export interface SegmenterOptions {
  readonly modelsDir: string;
  readonly maxPixels: number;
  readonly engine: EngineOptions;
  /** Called after each batch: its tiles, and how long the device ran, in ms. */
  readonly onBatch?: (tiles: number, ranMs: number) => void;
}

/** What is to be segmented, and how: data that can cross to a worker. */
export interface JobSpec {
  readonly id: string;
  readonly input: string;
  /** Where a picture without random access is unpacked. */
  readonly scratchDir: string;
  /** The file to write; it appears when it is complete. */
  readonly result: string;
  readonly model: string | undefined;
  readonly output: Output;
  readonly format: Format;
  readonly tile: TileChoice;
  /** Average probabilities over the eight symmetries of the square (test-time augmentation). */
  readonly symmetries: boolean;
}

export interface SegmentJob extends JobSpec {
  readonly signal: AbortSignal;
  readonly onStage?: (stage: Stage, durationMs: number) => void;
  readonly onProgress?: (progress: Progress) => void;
}

export interface Progress {
  readonly tilesDone: number;
  readonly tiles: number;
  readonly pixelsDone: number;
  /** Px that the network computed for the tile just done, halo included; 0 before the first. */
  readonly computedPixels: number;
}

/** Models that are kept loaded; the least recently used is unloaded. */
const MAX_LOADED = 4;

/** Segments files on one device: what the command line and a worker process both run. */
export class Segmenter {
  readonly shelf: ModelShelf;
  readonly #engine: Engine;
  readonly #predictor: TilePredictor;
  readonly #loaded = new Map<string, Promise<EngineModel>>();
  readonly #inUse = new Map<string, number>();

  constructor(private readonly options: SegmenterOptions) {
    this.shelf = new ModelShelf(options.modelsDir);
    this.#engine = Engine.start(options.engine);
    this.#predictor = new TilePredictor(this.#engine, options.onBatch);
  }

  get device(): string {
    return this.#engine.device;
  }

  /** Tiles that wait for a batch. */
  get depth(): number {
    return this.#predictor.depth;
  }

  /** Segments one file. On failure nothing of the result is left. */
  async run(job: SegmentJob): Promise<Receipt> {
    const started = performance.now();
    checkOutput(job.output, job.format);
    const { folder } = await this.shelf.find(job.model);
    const { maxPixels } = this.options;
    const opening = performance.now();
    const source = await openImage(job.input, { scratchDir: job.scratchDir, maxPixels, signal: job.signal });
    const stagesMs: Partial<Record<Stage, number>> = {};
    const onStage = (stage: Stage, ms: number) => {
      stagesMs[stage] = (stagesMs[stage] ?? 0) + ms;
      job.onStage?.(stage, ms);
    };
    onStage('decode', performance.now() - opening);
    this.#inUse.set(folder, (this.#inUse.get(folder) ?? 0) + 1);
    try {
      const model = await this.#load(folder);
      const { plan, warnings, conversion } = planJob(source, model, job.tile);
      if (job.symmetries) checkSymmetries(model);
      const sink = await openSink(job.result, job, source, model.card);
      const done = { tilesDone: 0, tiles: plan.count, pixelsDone: 0, computedPixels: 0 };
      job.onProgress?.(done);
      await segment({
        source,
        plan,
        output: predicted(job.output),
        classes: model.card.classes.length,
        sink,
        predict: this.#predictor.for(job.id, model, job.symmetries),
        signal: job.signal,
        onStage,
        onTile: ({ write, read }) => {
          done.tilesDone++;
          done.pixelsDone += write.width * write.height;
          done.computedPixels = read.width * read.height;
          job.onProgress?.(done);
        },
      });
      for (const stage of Object.keys(stagesMs) as Stage[]) stagesMs[stage] = round(stagesMs[stage]!);
      return {
        ...modelFacts(model),
        image: imageFacts(source),
        output: { kind: job.output, format: job.format },
        plan: planFacts(plan),
        channels: conversion,
        symmetries: job.symmetries,
        device: this.#engine.device,
        versions: this.#engine.versions,
        warnings,
        stagesMs,
        durationMs: round(performance.now() - started),
      };
    } finally {
      this.#inUse.set(folder, this.#inUse.get(folder)! - 1);
      await source.close();
    }
  }

  /** What `run` would do with an image, from its header alone. */
  async plan({
    input,
    scratchDir,
    model,
    tile,
  }: Pick<SegmentJob, 'input' | 'scratchDir' | 'model' | 'tile'>) {
    const { folder } = await this.shelf.find(model);
    const source = await openImage(input, { scratchDir, maxPixels: this.options.maxPixels });
    try {
      const loaded = await this.#load(folder);
      const { plan, warnings, conversion } = planJob(source, loaded, tile);
      return {
        ...modelFacts(loaded),
        image: imageFacts(source),
        plan: planFacts(plan),
        channels: conversion,
        device: this.#engine.device,
        warnings,
      };
    } finally {
      await source.close();
    }
  }

  async close(): Promise<void> {
    await this.#engine.close();
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

const round = (ms: number): number => Math.round(ms * 10) / 10;
