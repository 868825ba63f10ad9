import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Engine, type EngineModel, type EngineOptions } from '../model/engine.js';
import type { TileChoice } from '../tiling/plan.js';
import { BandJournal } from '../tiling/sinks/journal.js';
import { Preview } from '../tiling/sinks/preview.js';
import type { ImageSource } from '../tiling/source.js';
import { openImage } from '../tiling/sources/open.js';
import type { ImageChoice } from '../tiling/sources/options.js';
import { type Derivation, derive } from './derive.js';
import { checkSymmetries, planJob } from './job-plan.js';
import { ModelShelf } from './models.js';
import { checkOutput, coloursOf, isStreamed, openSinks, predictedFor, type ResultFile } from './outputs.js';
import { TilePredictor } from './predict.js';
import { imageFacts, modelFacts, planFacts, type Receipt } from './receipt.js';
import { type Stage, segment } from './segment.js';

export interface SegmenterOptions {
  readonly modelsDir: string;
  readonly maxPixels: number;
  /** Hosts that images may be read from by URL. */
  readonly allowedHosts?: readonly string[];
  readonly engine: EngineOptions;
  /** Called after each batch: its tiles, and how long the device ran, in ms. */
  readonly onBatch?: (tiles: number, ranMs: number) => void;
}

/** An image and how it is to be tiled: what a plan needs. */
export interface PlanSpec {
  /** A file, or a TIFF's address. */
  readonly input: string;
  /** Which picture of it. */
  readonly choice: ImageChoice;
  /** Where a picture without random access is unpacked. */
  readonly scratchDir: string;
  /** `NAME`, `NAME/VERSION`, or nothing where there is only one. */
  readonly model: string | undefined;
  readonly tile: TileChoice;
  /** Average probabilities over the eight symmetries of the square (test-time augmentation). */
  readonly symmetries: boolean;
}

/** What is to be segmented, and how: data that can cross to a worker. */
export interface JobSpec extends PlanSpec {
  readonly id: string;
  /** The files to write; each appears when it is complete. */
  readonly results: readonly ResultFile[];
  /** The file that keeps finished bands, from which a job that was killed goes on; null for none. */
  readonly journal: string | null;
}

export interface SegmentJob extends JobSpec {
  readonly signal: AbortSignal;
  readonly onStage?: (stage: Stage, durationMs: number) => void;
  readonly onProgress?: (progress: Progress) => void;
}

export interface Progress {
  readonly tiles: number;
  readonly tilesDone: number;
  /** Of `tilesDone`, those that were computed before the job was interrupted. */
  readonly tilesReplayed: number;
  readonly tilesSkipped: number;
  readonly pixels: number;
  readonly pixelsDone: number;
  /** Of `pixelsDone`, those that were computed now. */
  readonly pixelsComputed: number;
  /** Px that the network computed, halo included. */
  readonly haloAndPixels: number;
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
  readonly #previews = new Map<string, () => Promise<Buffer>>();

  constructor(private readonly options: SegmenterOptions) {
    this.shelf = new ModelShelf(options.modelsDir);
    this.#engine = Engine.start(options.engine);
    this.#predictor = new TilePredictor(this.#engine, options.onBatch);
  }

  /** The device in words. */
  get device(): string {
    return this.#engine.device;
  }

  /** Tiles that wait for a batch. */
  get depth(): number {
    return this.#predictor.depth;
  }

  /** Segments one image. On failure nothing of the results is left, but for the journal. */
  async run(job: SegmentJob): Promise<Receipt> {
    const started = performance.now();
    for (const { output, format } of job.results) checkOutput(output, format);
    const output = predictedFor(job.results);
    const stagesMs: Partial<Record<Stage, number>> = {};
    const onStage = (stage: Stage, ms: number) => {
      stagesMs[stage] = (stagesMs[stage] ?? 0) + ms;
      job.onStage?.(stage, ms);
    };
    return this.#with(job, job.signal, async (source, model) => {
      onStage('decode', performance.now() - started);
      const { plan, warnings, conversion } = planJob(source, model, job.tile);
      if (job.symmetries) checkSymmetries(model);
      const { card } = model;
      const journal = job.journal && (await BandJournal.open(job.journal, keyOf(job, model, plan)));
      const streamed = job.results.filter((result) => isStreamed(result.output, source.size.width));
      const derived = job.results.filter((result) => !streamed.includes(result));
      // What is made of the mask needs the mask: a copy of its own, if none is asked for.
      const isMask = (result: ResultFile) => result.output === 'labels' && result.format === 'tiff';
      const own: ResultFile = {
        output: 'labels',
        format: 'tiff',
        path: join(job.scratchDir, `${job.id}.mask.tif`),
      };
      if (derived.length > 0 && !streamed.some(isMask)) streamed.push(own);
      const sink = await openSinks(streamed, source, card).catch(async (error: unknown) => {
        if (journal) await journal.abort();
        throw error;
      });
      const preview = new Preview(source.size);
      this.#previews.set(job.id, () => preview.png(coloursOf(card)));
      const done = {
        ...{ tiles: plan.count, tilesDone: 0, tilesReplayed: 0, tilesSkipped: 0 },
        ...{
          pixels: plan.image.width * plan.image.height,
          pixelsDone: 0,
          pixelsComputed: 0,
          haloAndPixels: 0,
        },
      };
      job.onProgress?.({ ...done });
      const channels = output === 'labels' ? 1 : card.classes.length;
      await segment({
        source,
        plan,
        output,
        classes: card.classes.length,
        sink,
        journal: journal || null,
        predict: this.#predictor.for(job.id, model, job.symmetries),
        signal: job.signal,
        onStage,
        onPixels: (rect, values, rowLength) => preview.put(rect, values, rowLength, channels),
        onTile: ({ write, read }, how) => {
          const pixels = write.width * write.height;
          done.tilesDone++;
          done.pixelsDone += pixels;
          if (how === 'replayed') done.tilesReplayed++;
          else if (how === 'skipped') done.tilesSkipped++;
          else {
            done.pixelsComputed += pixels;
            done.haloAndPixels += read.width * read.height;
          }
          // What comes from the journal comes all at once: its last tile tells of all of them.
          if (how !== 'replayed') job.onProgress?.({ ...done });
        },
      });
      if (derived.length > 0) {
        const deriving = performance.now();
        await this.#derive(streamed.find(isMask)!.path, derived, { source, card, signal: job.signal });
        if (streamed.includes(own)) await rm(own.path);
        onStage('encode', performance.now() - deriving);
      }
      for (const stage of Object.keys(stagesMs) as Stage[]) stagesMs[stage] = round(stagesMs[stage]!);
      return {
        ...modelFacts(model),
        image: imageFacts(source),
        outputs: job.results.map(({ output: kind, format }) => ({ kind, format })),
        plan: planFacts(plan),
        channels: conversion,
        symmetries: job.symmetries,
        device: this.#engine.device,
        versions: this.#engine.versions,
        warnings,
        stagesMs,
        durationMs: round(performance.now() - started),
      };
    }).finally(() => this.#previews.delete(job.id));
  }

  /** What `run` would do with an image, from its header alone. */
  plan(spec: PlanSpec) {
    return this.#with(spec, undefined, async (source, model) => {
      const { plan, warnings, conversion } = planJob(source, model, spec.tile);
      if (spec.symmetries) checkSymmetries(model);
      return {
        ...modelFacts(model),
        image: imageFacts(source),
        plan: planFacts(plan),
        channels: conversion,
        device: this.#engine.device,
        warnings,
      };
    });
  }

  /** Makes more results of the finished mask of a job. */
  derive(spec: PlanSpec, mask: string, results: readonly ResultFile[]): Promise<void> {
    return this.#with(spec, undefined, (source, { card }) =>
      this.#derive(mask, results, { source, card, signal: new AbortController().signal }),
    );
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
    { input, choice, scratchDir, model: name }: PlanSpec,
    signal: AbortSignal | undefined,
    work: (source: ImageSource, model: EngineModel) => Promise<Result>,
  ): Promise<Result> {
    const { folder } = await this.shelf.find(name);
    const { maxPixels, allowedHosts } = this.options;
    const source = await openImage(input, {
      ...choice,
      scratchDir,
      maxPixels,
      allowedHosts,
      ...(signal && { signal }),
    });
    this.#inUse.set(folder, (this.#inUse.get(folder) ?? 0) + 1);
    try {
      return await work(source, await this.#load(folder));
    } finally {
      this.#inUse.set(folder, this.#inUse.get(folder)! - 1);
      await source.close();
    }
  }

  async #derive(path: string, results: readonly ResultFile[], rest: Omit<Derivation, 'mask'>): Promise<void> {
    const { maxPixels } = this.options;
    const mask = await openImage(path, { scratchDir: dirname(path), maxPixels, values: 'stored' });
    try {
      await derive(results, { mask, ...rest });
    } finally {
      await mask.close();
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

/** What a job's bands depend on: where any of it differs, they are computed anew. */
function keyOf(job: SegmentJob, { card }: EngineModel, plan: Parameters<typeof planFacts>[0]): string {
  const { tile, stride } = planFacts(plan);
  const { choice, symmetries } = job;
  return JSON.stringify({
    weights: card.weights.sha256,
    ...{ image: plan.image, tile, stride, choice, symmetries, output: predictedFor(job.results) },
  });
}

const round = (ms: number): number => Math.round(ms * 10) / 10;
