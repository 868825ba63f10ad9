import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { Engine } from '../model/engine/engine.js';
import type { TileBatch } from '../model/network/frozen.js';
import type { TileGeometry } from '../model/network/geometry.js';
import type { Receipt } from '../server/contract/receipt.js';
import type { Rect, Size } from '../tiling/geometry.js';
import { planTiles } from '../tiling/plan.js';
import type { Raster } from '../tiling/raster.js';
import { readTile } from '../tiling/reader.js';
import { writeSample } from '../tiling/samples/sample.js';
import { MemorySink } from '../tiling/sinks/memory.js';
import { memorySource } from '../tiling/sources/memory.js';
import { type Bench, medians } from './bench.js';
import { inLanes, inLoops } from './plain-loop.js';
import { BenchServer } from './server.js';

const MODEL = 'em-membrane';
const IMAGES = 96;
const CLIENTS = 16;
const SIDES = { min: 256, max: 512 };
const RUNS = 3;
const SLIDE_PX = 3000;
/** `shareOfPlain`: px/s of the clients together, as a share of those of the plain loop. `differing`: results. */
const LIMITS = { shareOfPlain: 0.85, differing: 0 };

/** A client's image. */
interface Sent {
  readonly raster: Raster;
  readonly png: Buffer<ArrayBuffer>;
}

interface Answer {
  readonly mask: Buffer;
  readonly receipt: Receipt;
}

/**
 * Measures a server under 16 clients that send small images of different sizes, one after the other each. It is
 * compared, in turns, with a plain loop, which decodes the images by sharp, computes the same tiles in the same lanes,
 * and encodes the masks by sharp, all without a server; with these lanes alone; and with one client. The masks must be
 * those of one client, byte for byte.
 */
export const bench: Bench = async (log) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  try {
    const images = await texturedImages();
    const server = await BenchServer.start(join(dir, 'data'));
    const agent = new Agent({ keepAlive: true });
    const request = ({ png }: Sent) => post(`${server.url}/v1/segment?model=${MODEL}`, png, agent);
    // One after the other: these masks are the expected ones, and their tiles those of the bare lanes.
    const serial: Answer[] = [];
    for (const image of images) serial.push(await request(image));
    const { compute: use, device } = serial.at(-1)!.receipt;
    const sizes = new Set(serial.map(({ receipt }) => receipt.plan.tile)).size;
    log(`${IMAGES} images, ${sizes} tile sizes, ${device}`);

    let differing = 0;
    const send = (clients: number) =>
      inLoops(clients, images.length, async (i) => {
        const { mask } = await request(images[i]!);
        if (!mask.equals(serial[i]!.mask)) differing++;
      });
    const engine = Engine.start({ provider: 'cpu', threads: use.lanes * use.threads });
    const model = await engine.load(fileURLToPath(new URL(`../../models/${MODEL}/1`, import.meta.url)));
    const tiles = await Promise.all(
      images.map(({ raster }, i) => tileOf(raster, serial[i]!.receipt.plan, model.geometry)),
    );
    const times = await medians(RUNS, {
      bare: () =>
        inLanes(use, images.length, async (i, lane) => {
          const { tile } = tiles[i]!;
          await engine.predict(model.id, { ...tile, data: tile.data.slice() }, 'labels', lane);
        }),
      plain: () =>
        inLanes(use, images.length, async (i, lane) => {
          const { tile, crop } = await tileOf(
            await decode(images[i]!.png),
            serial[i]!.receipt.plan,
            model.geometry,
          );
          await encode(await engine.predict(model.id, tile, 'labels', lane), tile, model.geometry, crop);
        }),
      many: () => send(CLIENTS),
      one: () => send(1),
    });
    agent.destroy();
    await engine.close();
    await server.stop();

    const px = images.reduce((sum, { raster }) => sum + raster.width * raster.height, 0);
    const speed = (ms: number) => Number((px / ms / 1000).toFixed(3));
    const shareOf = (ms: number) => Number((ms / times.many).toFixed(3));
    const shareOfPlain = shareOf(times.plain);
    const megapixelsPerSecond = Object.fromEntries(
      Object.entries(times).map(([name, ms]) => [name, speed(ms)]),
    );
    return {
      clients: CLIENTS,
      images: IMAGES,
      megapixelsPerSecond,
      shareOfPlain,
      shareOfBare: shareOf(times.bare),
      ofOneClient: Number((times.one / times.many).toFixed(3)),
      differing,
      limits: LIMITS,
      holds: shareOfPlain >= LIMITS.shareOfPlain && differing <= LIMITS.differing,
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
};

/** Sends an image. Without `fetch`, since clients share the cores with what is measured. */
async function post(url: string, png: Buffer, agent: Agent): Promise<Answer> {
  const sent = httpRequest(url, { method: 'POST', agent, headers: { 'content-length': png.length } }).end(
    png,
  );
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  const mask = Buffer.concat(await response.toArray());
  if (response.statusCode !== 200) throw new Error(`${response.statusCode}: ${mask}`);
  return { mask, receipt: JSON.parse(String(response.headers['unseam-receipt'])) as Receipt };
}

/** Images of different sizes and places of one textured picture; always the same ones. */
async function texturedImages(): Promise<Sent[]> {
  const size = { width: SLIDE_PX, height: SLIDE_PX };
  const slide = new MemorySink(size, 1);
  await writeSample('membranes', size, 1, { image: slide });
  const raw = { width: SLIDE_PX, height: SLIDE_PX, channels: 1 } as const;
  const source = memorySource({ ...raw, data: slide.data as Uint8Array });
  const within = (i: number, from: number, to: number) =>
    from + ((Math.imul(i + 1, 0x9e3779b1) >>> 8) % (to - from + 1));
  return Promise.all(
    Array.from({ length: IMAGES }, async (_, i) => {
      const width = within(4 * i, SIDES.min, SIDES.max);
      const height = within(4 * i + 1, SIDES.min, SIDES.max);
      const [x, y] = [within(4 * i + 2, 0, SLIDE_PX - width), within(4 * i + 3, 0, SLIDE_PX - height)];
      const raster = await source.readRegion({ x, y, width, height });
      // Without a colour space, sharp would write RGB.
      const image = sharp(raster.data as Uint8Array, { raw: { width, height, channels: 1 } }).toColourspace(
        'b-w',
      );
      return { raster, png: (await image.png().toBuffer()) as Buffer<ArrayBuffer> };
    }),
  );
}

/** Decodes a gray PNG, as a program would that has nothing but sharp. */
async function decode(png: Buffer): Promise<Raster> {
  const { data, info } = await sharp(png).toColourspace('b-w').raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height, channels: 1 };
}

/** The tile that covers an image, as the server reads it, and where the image is in its output. */
async function tileOf(
  raster: Raster,
  facts: Receipt['plan'],
  rule: TileGeometry,
): Promise<{ readonly tile: TileBatch; readonly crop: Rect }> {
  const [width, height] = facts.tile.split('x').map(Number) as [number, number];
  const plan = planTiles(raster, { tile: { width, height }, rule });
  if (plan.count !== 1)
    throw new Error(`an image of ${raster.width}×${raster.height} px has ${plan.count} tiles`);
  const { read, crop } = [...plan.bands()][0]!.tiles[0]!;
  return { tile: { ...(await readTile(memorySource(raster), read)), count: 1 }, crop };
}

/** Encodes the labels of a tile as a PNG, as a program would that has nothing but sharp. */
async function encode(
  labels: Uint8Array | Float32Array,
  tile: Size,
  { halo }: TileGeometry,
  crop: Rect,
): Promise<Buffer> {
  const [width, height] = [tile.width - halo.left - halo.right, tile.height - halo.top - halo.bottom];
  return sharp(labels, { raw: { width, height, channels: 1 } })
    .extract({ left: crop.x, top: crop.y, width: crop.width, height: crop.height })
    .toColourspace('b-w')
    .png()
    .toBuffer();
}
