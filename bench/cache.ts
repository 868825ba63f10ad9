import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OutputKind } from '../model/network/output-kind.js';
import type { Predict } from '../server/pipeline/segment.js';
import { TileCache } from '../server/pipeline/tile-cache.js';
import { writeSample } from '../tiling/samples/sample.js';
import { MemorySink } from '../tiling/sinks/memory.js';
import { type Bench, median } from './bench.js';
import { BenchServer, processorMs } from './server.js';
import { writeFlatSlide, writeSlide } from './slide.js';

const FLAT = { width: 20_000, height: 20_000 };
const TEXTURED = { width: 3000, height: 3000 };
/** Size of the images without caches: small, so that the machine changes little between the two. */
const SMALL = { width: 1500, height: 1500 };
const ROUNDS = 16;
/**
 * `flatTiles`: tiles that a slide of one value is for the network, of each shape. `repeatShare`: the time of a slide that
 * was sent before, of its first time. `costShare`: what the cache takes of the time that a textured tile is computed for.
 * `ratio`: of the processor time of textured slides with caches and without; between two servers of one kind it varies
 * by 0.02, so that this would show a gross cost alone.
 */
const LIMITS = { flatTiles: 1, repeatShare: 0.1, costShare: 0.005, ratio: 1.05 };

/**
 * Measures what the caches of tiles and results spare, and what they cost where they spare nothing: a slide of 20,000²
 * px of one value, in two tile shapes; a textured slide that is sent twice, from its upload to the last byte of its mask;
 * textured slides, each another one, with caches and without in turn; and the cache alone on textured tiles.
 */
export const bench: Bench = async (log) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  const servers: BenchServer[] = [];
  const start = async (name: string, caches?: readonly string[]) => {
    const server = await BenchServer.start(join(dir, name), [], {}, caches);
    servers.push(server);
    return server;
  };
  try {
    const flat = await measureFlat(await start('flat', []), join(dir, 'flat.tif'));
    log(`a slide of one value: ${JSON.stringify(flat)}`);
    await servers.pop()!.stop();

    const repeat = await measureRepeat(await start('repeat', []), join(dir, 'slide.tif'));
    log(`the same slide again: ${JSON.stringify(repeat)}`);
    await servers.pop()!.stop();

    const cost = await measureCost(await start('caching', []), await start('computing'), dir);
    log(`textured slides: ${JSON.stringify(cost)}`);
    const tile = await measureTile();
    const costShare = Number((tile.microseconds / 1000 / cost.tileMs).toFixed(5));
    log(`a textured tile: ${tile.microseconds} µs, ${costShare} of its time`);

    const holds =
      flat.every(({ computed }) => computed === LIMITS.flatTiles) &&
      Object.values(repeat).every(({ share, isEqual }) => isEqual && share <= LIMITS.repeatShare) &&
      costShare <= LIMITS.costShare &&
      cost.ratio <= LIMITS.ratio;
    return { flat, repeat, cost, tileMicroseconds: tile.microseconds, costShare, limits: LIMITS, holds };
  } finally {
    for (const server of servers) await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
};

const MODEL = 'em-membrane';

/** What a job's receipt says of its tiles, and its time. */
interface Tiles {
  readonly tiles: { readonly computed: number; readonly constant: number; readonly identical: number };
  readonly durationMs: number;
}

async function run(server: BenchServer, path: string, query: string): Promise<{ id: string } & Tiles> {
  const { id } = await server.submit(path, query);
  const job = await server.ended(id, 20);
  if (job.state !== 'succeeded') throw new Error(`the job ${job.state}: ${job.error?.detail}`);
  return { id, ...(job.receipt as unknown as Tiles) };
}

/** Segments a slide of one value with tiles of two shapes. */
async function measureFlat(server: BenchServer, path: string) {
  await writeFlatSlide(path, FLAT, 231);
  const shapes = [];
  for (const tile of ['auto', '572']) {
    const { tiles, durationMs } = await run(server, path, `model=${MODEL}&tile=${tile}`);
    shapes.push({ tile, ...tiles, seconds: Number((durationMs / 1000).toFixed(1)) });
  }
  return shapes;
}

/** Sends a slide twice as a job, and twice as a request that waits, each time up to the last byte of its mask. */
async function measureRepeat(server: BenchServer, path: string) {
  await writeSlide(path, 'membranes', TEXTURED, null, 999);
  await run(server, path, `model=${MODEL}&tile=188`); // loads the model
  const job = await twice(async () => {
    const { id } = await run(server, path, `model=${MODEL}`);
    return fetch(`${server.url}/v1/jobs/${id}/result`);
  });
  const body = new Uint8Array(await readFile(path));
  const request = await twice(() =>
    fetch(`${server.url}/v1/segment?model=${MODEL}`, { method: 'POST', body }),
  );
  return { job, request };
}

/** Times two equal requests, and compares what they return. */
async function twice(request: () => Promise<Response>) {
  const times: number[] = [];
  const masks: Buffer[] = [];
  for (let i = 0; i < 2; i++) {
    const started = performance.now();
    const response = await request();
    if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
    masks.push(Buffer.from(await response.arrayBuffer()));
    times.push(performance.now() - started);
  }
  const [firstMs, againMs] = times.map(Math.round) as [number, number];
  const share = Number((times[1]! / times[0]!).toFixed(4));
  return { firstMs, againMs, share, isEqual: masks[0]!.equals(masks[1]!) };
}

/**
 * Segments textured slides, each another one, by both servers in turn. Their processor time is compared, which other
 * programs on the machine change less than the time.
 */
async function measureCost(caching: BenchServer, computing: BenchServer, dir: string) {
  const spent = { caching: 0, computing: 0, tileMs: [] as number[] };
  const path = join(dir, 'textured.tif');
  const measure = async (name: 'caching' | 'computing', isWarm: boolean) => {
    const server = name === 'caching' ? caching : computing;
    const before = await processorMs(server.child.pid!);
    const { tiles, durationMs } = await run(server, path, `model=${MODEL}`);
    if (tiles.constant + tiles.identical > 0) throw new Error('the slide has equal tiles');
    if (!isWarm) return;
    spent[name] += (await processorMs(server.child.pid!)) - before;
    spent.tileMs.push(durationMs / tiles.computed);
  };
  for (let round = -2; round < ROUNDS; round++) {
    await writeSlide(path, 'membranes', SMALL, null, 10 + round);
    const order = ['caching', 'computing'] as const;
    for (const name of round % 2 === 0 ? order : order.toReversed()) await measure(name, round >= 0);
  }
  return {
    ratio: Number((spent.caching / spent.computing).toFixed(4)),
    processorSeconds: [spent.caching / 1000, spent.computing / 1000],
    tileMs: Number(median(spent.tileMs).toFixed(1)),
  };
}

/** The time that the cache takes for a textured tile that it has not seen, without its computation. */
async function measureTile() {
  const side = 700;
  const size = { width: side, height: side };
  const image = new MemorySink(size, 1);
  await writeSample('membranes', size, 1, { image });
  const result = new Uint8Array(1);
  const predict: Predict = async () => {
    return { result, batchSize: 1, queuedMs: 0, ranMs: 0 };
  };
  const use = {
    network: 'none',
    symmetries: false,
    threshold: null,
    scale: null,
    rounding: null,
    priority: 'normal',
  } as const;
  const cached = new TileCache(1 << 26).around(predict, use);
  const { signal } = new AbortController();
  const output: OutputKind = 'labels';
  const times: number[] = [];
  for (let i = 0; i < 200; i++) {
    const data = Uint8Array.from(image.data as Uint8Array, (value, at) => (value + at * i) & 255);
    const started = performance.now();
    await cached({ data, count: 1, channels: 1, ...size }, output, signal);
    times.push(performance.now() - started);
  }
  return { microseconds: Number((1000 * median(times)).toFixed(1)) };
}
