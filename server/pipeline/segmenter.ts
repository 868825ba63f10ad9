import { deviceFacts } from '../../model/devices/environment.js';
import type { TestedModel } from '../../model/engine/engine.js';
import { type GraphUse, scaleFor } from '../../model/exactness/self-test.js';
import type { OutputKind } from '../../model/network/output-kind.js';
import { ownThreshold, scaledOf } from '../../model/shelf/card.js';
import type { FoundModel } from '../../model/shelf/shelf.js';
import type { Size } from '../../tiling/geometry.js';
import { isStack } from '../../tiling/planes.js';
import { bytesOf, pixelArray } from '../../tiling/raster.js';
import { BandJournal } from '../../tiling/sinks/journal.js';
import { Preview } from '../../tiling/sinks/preview.js';
import { openImage } from '../../tiling/sources/open.js';
import type { OpenOptions } from '../../tiling/sources/options.js';
import { openPlanes } from '../../tiling/stack.js';
import { coloursOf } from '../contract/colours.js';
import type { ImageHeader } from '../contract/image-header.js';
import type { PlanSpec, WorkSpec } from '../contract/job-spec.js';
import { checkOutput, outputKindOf } from '../contract/outputs.js';
import type { Receipt } from '../contract/receipt.js';
import type { JobFacts } from '../contract/schemas/plan.js';
import { NEVER } from '../storage/until-aborted.js';
import { expectedDisk } from './disk-use.js';
import { tileOf } from './fingerprint.js';
import type { ModelHost, ModelHostMemory } from './model-host.js';
import { viewFor } from './model-view.js';
import { type ImageNormalisation, textOf, withTileScale } from './normalisation.js';
import { type PreparedJob, prepareJob, withTestedShapes } from './prepare.js';
import { readHeader } from './read-header.js';
import { computeFacts, imageFacts, modelFacts, planFacts, rangeFacts } from './receipt.js';
import { runJob } from './run-job.js';
import type { SegmentJob } from './segment-job.js';
import { TileCache } from './tile-cache.js';
import { checkArchives } from './writers.js';

export interface SegmenterOptions {
  readonly maxPixels: number;
  /** Bytes of memory for a picture that has to be unpacked as a whole. Default 1 GiB. */
  readonly maxUnpackedBytes?: number;
  /** Hosts that images may be read from by URL. */
  readonly allowedHosts?: readonly string[] | 'any';
  /** Called after each change of what the tile cache holds, in bytes. */
  readonly onTileCache?: (bytes: number) => void;
}

/** Memory in bytes, by what it is for. */
export interface MemoryUse extends ModelHostMemory {
  /** The tile cache. */
  readonly tiles: number;
}

/** The results of a plan whose request names none. */
const DEFAULT_OUTPUTS: NonNullable<PlanSpec['outputs']> = [{ output: 'labels', format: 'tiff' }];

/** Segments files with the models of a host: what the command line and a worker process both run. */
export class Segmenter {
  readonly #tiles: TileCache;
  /** Of running jobs, by their ids. */
  readonly #previews = new Map<string, () => Promise<Buffer>>();

  constructor(
    readonly host: ModelHost,
    private readonly options: SegmenterOptions,
  ) {
    this.#tiles = new TileCache(host.planning.tileCache, options.onTileCache);
  }

  /** What the process takes in bytes, by what it is for: as estimated, but for the tile cache. */
  get memory(): MemoryUse {
    return { ...this.host.memory, tiles: this.#tiles.bytes };
  }

  /** Segments one image. On failure nothing of the results is left, but for the journal. */
  async run(job: SegmentJob): Promise<Receipt> {
    for (const { output, format } of job.results) checkOutput(output, format, isStack(job.choice));
    const started = performance.now();
    return this.host.use(job.model, async (found) => {
      const opening = openImage(job.input, { ...this.#openOptions(job, found), signal: job.signal });
      const image = await (job.watch?.(opening) ?? opening);
      try {
        const prepared = await this.#prepare(job, job.results, image, found, job);
        const { model, choice, threshold } = prepared;
        const opened = performance.now();
        job.onStage?.('decode', opened - started, opened);
        this.host.prepare(model.id, Math.min(choice.lanes, prepared.plan.count));
        const need = { own: prepared.jobMemory, shared: prepared.computeMemory };
        const { id, priority, signal } = job;
        const predictor = { ...model, choice, sizes: prepared.sizes };
        const predict = this.host.predictor.for(id, predictor, { ...job, threshold });
        const reuse = {
          ...job,
          network: model.digest,
          threshold,
          rounding: model.exact ? null : { threads: choice.threads, batch: choice.batch },
        };
        const tools = {
          predict: (normalisation: ImageNormalisation | null) => {
            const scaled = normalisation === null ? predict : withTileScale(predict, normalisation.tileScale);
            const use = { ...reuse, scale: normalisation && textOf(normalisation.tileScale) };
            return prepared.repeatable ? this.#tiles.around(scaled, use) : scaled;
          },
          preview: ({ size }: Pick<ImageHeader, 'size'>) => {
            const preview = new Preview(size);
            this.#previews.set(id, () => preview.png(coloursOf(model.card)));
            return preview;
          },
          maxPixels: this.options.maxPixels,
          maxUnpackedBytes: this.options.maxUnpackedBytes,
        };
        const receipt = await this.host.withMemory(need, priority, signal, () =>
          runJob(job, image, prepared, tools),
        );
        return {
          ...receipt,
          ...deviceFacts(model.environment, choice, this.host.deviceNames),
          compute: computeFacts(choice, this.host.fallback),
        };
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
      const { model, plan, choice, scale, conversion, warnings, memory, planes } = prepared;
      const { size, facts } = image;
      checkArchives(outputs, model.card, size, planes);
      return {
        ...modelFacts(model),
        ...rangeFacts(facts, model.card),
        image: imageFacts(image, planes),
        isOneFile: facts.hasOtherFiles !== true,
        outputs: outputs.map(({ output: kind, format }) => ({ kind, format })),
        simplify,
        plan: planFacts(plan),
        channels: conversion,
        channelIndexes: facts.channelIndexes ?? null,
        device: deviceFacts(model.environment, choice, this.host.deviceNames).device,
        compute: computeFacts(choice, this.host.fallback),
        warnings,
        expected: {
          memoryBytes: memory,
          diskBytes: expectedDisk(outputs, model.card, {
            size,
            maskSize: scale?.size ?? size,
            planes: plan.planes,
          }),
          scratchBytes: facts.isUnpacked
            ? openPlanes(plan.planes) * size.width * size.height * facts.channels * bytesOf(facts.dtype)
            : 0,
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
      const predict = this.host.predictor.for(
        'estimate',
        { ...model, choice },
        { priority: 'interactive', symmetries, canTakeAll },
      );
      const data = pixelArray(dtype, width * height * channels);
      const run = async () => {
        const scale = scaleFor(scaledOf(model.card), 1);
        const tile = { data: data.slice(), width, height, channels, count: 1, ...scale };
        return (await predict(tile, output, NEVER)).ranMs;
      };
      await run(); // the first of a shape prepares its memory
      return (Math.min(await run(), await run()) * rounds) / 1000;
    });
  }

  /** The finished part of a running job's mask, as a PNG; null where no such job runs. */
  async preview(id: string): Promise<Buffer | null> {
    return (await this.#previews.get(id)?.()) ?? null;
  }

  /** Prepares a job from its image's header, for the time of `work`. */
  #withPrepared<Result>(
    spec: PlanSpec,
    header: ImageHeader | undefined,
    work: (prepared: PreparedJob, image: ImageHeader) => Promise<Result>,
  ): Promise<Result> {
    return this.host.use(spec.model, async (found) => {
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
    const use = graphUseOf(found, image, output, spec);
    // a search chooses the tile, too, so none is made where a tile is requested
    const searched = job && spec.tile === 'auto' ? image.size : null;
    const signal = job?.signal ?? NEVER; // no plan is cancelled
    const model = await this.host.tested(found, use, searched, signal);
    const preferred = job?.journal ? await earlierTile(job.journal) : null;
    const prepare = (tested: TestedModel) =>
      prepareJob(spec, image, tested, { output, preferred, ...this.host.planning });
    const prepared = prepare(model);
    const { threads } = prepared.choice;
    if (!model.exact || threads === model.choice.threads) {
      const test = (planned: PreparedJob) => this.host.shapesOf({ ...planned, found }, use, job!);
      return job === null ? prepared : withTestedShapes(prepare, prepared, test);
    }
    // the memory has room for fewer lanes, of more threads than were tested
    const outcome = await this.host.tilingOf(found, model, use, threads, signal);
    return outcome.exact ? prepared : prepare({ ...model, ...outcome });
  }

  /** How an image is opened for a model: by what the spec chooses, and what the model reads. */
  #openOptions({ choice, singleFile, scratchDir }: PlanSpec, { card }: FoundModel): OpenOptions {
    const { maxPixels, maxUnpackedBytes, allowedHosts } = this.options;
    const limits = { maxPixels, maxUnpackedBytes, allowedHosts };
    return { ...choice, ...viewFor(card), ...limits, singleFile, scratchDir };
  }
}

/** The graph that an image and its outputs need. */
function graphUseOf(
  { card }: FoundModel,
  { facts: { channels, dtype } }: ImageHeader,
  output: OutputKind,
  { symmetries, threshold: requested = null }: WorkSpec,
): GraphUse {
  const threshold = requested ?? ownThreshold(card);
  const isThresholded = threshold !== null && output !== 'probabilities' && card.classes.length === 2;
  const isOfBytes = dtype === 'uint8';
  return {
    output,
    symmetries,
    channels,
    ...(isThresholded && { threshold: true }),
    ...(isOfBytes && { isOfBytes }),
    ...scaledOf(card),
  };
}

/** The tile of the run that a journal is of, so that `auto` goes on with it, whatever was measured meanwhile. */
async function earlierTile(journal: string): Promise<Size | null> {
  const key = await BandJournal.keyOf(journal);
  return key === null ? null : tileOf(key);
}
