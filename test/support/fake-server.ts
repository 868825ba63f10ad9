import { readFile, writeFile } from 'node:fs/promises';
import { pino } from 'pino';
import { DEFAULTS } from '../../server/config.js';
import type { ImageHeader } from '../../server/contract/image-header.js';
import type { JobSpec, PlanSpec } from '../../server/contract/job-spec.js';
import type { Receipt } from '../../server/contract/receipt.js';
import type { JobProgress } from '../../server/contract/schemas/job.js';
import type { JobFacts } from '../../server/contract/schemas/plan.js';
import { imageFacts } from '../../server/pipeline/receipt.js';
import { type RunningServer, startServer } from '../../server/serve.js';
import type { ServeOptions } from '../../server/serve-options.js';
import type { Processes } from '../../server/services.js';
import type { JobListener } from '../../server/worker/client.js';
import type { WorkerCalls } from '../../server/worker/methods.js';
import { CorruptImageError, UnsupportedImageError } from '../../tiling/errors.js';
import { isStack, planesOf } from '../../tiling/planes.js';
import { NO_CACHES } from './product.js';

/** The signature of a PNG, and the length and type of its first chunk; width and height follow. */
const PNG_HEAD = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex');

/** The first bytes of a gray PNG: all that a fake server reads of an image. */
export function fakeImage(width: number, height: number): Buffer {
  const sides = Buffer.alloc(8);
  sides.writeUInt32BE(width, 0);
  sides.writeUInt32BE(height, 4);
  return Buffer.concat([PNG_HEAD, sides]);
}

async function headerOf(path: string): Promise<ImageHeader> {
  const bytes = await readFile(path);
  if (!bytes.subarray(0, PNG_HEAD.length).equals(PNG_HEAD))
    throw new UnsupportedImageError(`${bytes.length} bytes are not a supported image`);
  if (bytes.length < PNG_HEAD.length + 8) throw new CorruptImageError('the image is cut off');
  return {
    size: { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) },
    facts: { channels: 1, dtype: 'uint8', channelNames: null, mpp: null, notes: [] },
    overviews: [],
  };
}

const HALO = { top: 0, left: 0, bottom: 0, right: 0 };
const MODEL = { name: 'shapes', version: 1, sha256: '' };
const TILES = 4;

function factsOf(header: ImageHeader, { choice }: Pick<PlanSpec, 'choice'>): JobFacts {
  const planes = isStack(choice) ? planesOf(choice, header.facts.stack) : null;
  return {
    model: MODEL,
    classes: [],
    exact: true,
    largestDifference: 0,
    normalisation: 'type-range',
    range: null,
    image: imageFacts(header, planes),
    outputs: [],
    isOneFile: true,
    simplify: 0,
    plan: { tile: '8x8', halo: HALO, stride: '8x8', tiles: TILES, haloShare: 0 },
    channels: 'none',
    channelIndexes: null,
    device: 'fake',
    compute: { lanes: 1, threads: 1, batchPx: 64, measured: false, fallback: null },
    warnings: [],
    expected: { memoryBytes: 0, diskBytes: 0, scratchBytes: 0 },
  };
}

const receiptOf = (facts: JobFacts): Receipt => ({
  ...facts,
  repeatable: true,
  tiles: { computed: TILES, constant: 0, identical: 0, skipped: 0, replayed: 0 },
  scale: null,
  statistics: null,
  background: null,
  areas: null,
  symmetries: false,
  threshold: null,
  versions: {},
  cached: null,
  stagesMs: { decode: 1, queue: 1, infer: 1, stitch: 1, encode: 1 },
  durationMs: 1,
});

/** The bytes that a fake worker writes for every result. */
export const FAKE_RESULT = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 251));

/** A worker in the test's own process, which writes `FAKE_RESULT` for every result: at once, or when released. */
export class FakeWorker implements WorkerCalls {
  readonly unready = null;
  readonly pid = undefined;
  /** Jobs that it was given. */
  runs = 0;
  /** What it says of every image. */
  isOneFile = true;
  /** What it expects jobs to take on the disk. */
  diskBytes = 0;
  /** What it says of every result. */
  repeatable = true;
  #gate: Promise<void> = Promise.resolve();

  /** Blocks jobs before their first tile; returns a function that releases them. */
  block(): () => void {
    let release = () => {};
    this.#gate = new Promise((resolve) => (release = resolve));
    return release;
  }

  async run(job: JobSpec, listener: JobListener, signal: AbortSignal): Promise<Receipt> {
    this.runs++;
    const facts = factsOf(await headerOf(job.input), job);
    const pixels = facts.image.width * facts.image.height;
    const progress = (tilesDone: number): JobProgress => {
      const pixelsDone = Math.floor((pixels * tilesDone) / TILES);
      return {
        tiles: TILES,
        tilesDone,
        tilesReplayed: 0,
        tilesSkipped: 0,
        tilesConstant: 0,
        tilesIdentical: 0,
        pixels,
        pixelsDone,
        pixelsComputed: pixelsDone,
        haloAndPixels: pixelsDone,
        planes: 1,
        planesDone: 0,
      };
    };
    listener.onStage('decode', 1, Date.now());
    await unlessAborted(this.#gate, signal);
    listener.onProgress(progress(TILES / 2));
    for (const { path } of job.results) await writeFile(path, FAKE_RESULT);
    listener.onProgress(progress(TILES));
    return { ...receiptOf(facts), repeatable: this.repeatable };
  }

  async plan(spec: PlanSpec, header: ImageHeader): Promise<JobFacts> {
    const facts = factsOf(header, spec);
    const expected = { ...facts.expected, diskBytes: this.diskBytes };
    return { ...facts, expected, isOneFile: this.isOneFile };
  }

  started: Promise<void> = Promise.resolve();

  async estimate(): Promise<number> {
    return 1;
  }

  async preview(): Promise<null> {
    return null;
  }

  hold(): () => void {
    return () => {};
  }

  async stop(): Promise<void> {}
}

function unlessAborted(gate: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    void gate.then(resolve);
  });
}

/** Readers in the test's own process: headers are read; images and derived results are `FAKE_RESULT`. */
const readers: Processes['readers'] = {
  headerPids: [],
  pids: { headers: [], tiles: [], results: [] },
  header: ({ input }) => headerOf(input),
  tile: async () => FAKE_RESULT,
  derive: async (_spec, _card, _mask, results) => {
    for (const { path } of results) await writeFile(path, FAKE_RESULT);
  },
  evict: async () => {},
  close: async () => {},
};

/** A server without child processes. */
export interface FakeServer extends RunningServer {
  readonly worker: FakeWorker;
}

/**
 * A real server whose worker and readers are fakes: for tests of HTTP, which need no network and no image. It takes
 * the images of `fakeImage`.
 * @param started resolves when the devices of its worker have. Default: at once
 */
export async function fakeServer(
  data: string,
  options: Partial<ServeOptions> = {},
  started = Promise.resolve(),
): Promise<FakeServer> {
  const worker = new FakeWorker();
  worker.started = started;
  const server = await startServer(
    {
      ...DEFAULTS,
      ...NO_CACHES,
      port: 0,
      data,
      engine: { provider: 'cpu', threads: 1 },
      log: pino({ level: 'silent' }),
      ...options,
    },
    () => ({ worker, readers }),
  );
  return { ...server, worker };
}
