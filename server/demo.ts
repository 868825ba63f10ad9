import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { writeSample } from '../tiling/samples/sample.js';
import { MemorySink } from '../tiling/sinks/memory.js';
import { TiffSink } from '../tiling/sinks/tiff/tiff.js';
import { openImage } from '../tiling/sources/open.js';
import { DEFAULTS } from './config.js';
import { startServer } from './serve.js';

/** `npm run demo`: makes a slide, starts a server, segments the slide over HTTP, and checks and saves its mask. */
const SIZE = { width: 3000, height: 2000 };
const SEED = 2026;
const OUT = join('out', 'demo');

await mkdir(OUT, { recursive: true });
const slide = join(OUT, 'slide.tif');
const truth = new MemorySink(SIZE, 1);
const image = await TiffSink.create(slide, SIZE, {
  channels: 1,
  dtype: 'uint8',
  mpp: { x: 0.5, y: 0.5 },
  overviews: 'mean',
});
await writeSample('shapes', SIZE, SEED, { image, labels: truth });
console.log(`slide   ${slide}: ${SIZE.width} × ${SIZE.height} px of triangles and circles`);

const server = await startServer({
  ...DEFAULTS,
  port: 0,
  data: join(OUT, 'data'),
  engine: { provider: 'cpu', threads: availableParallelism() },
  log: pino({ level: 'warn' }),
});
try {
  const body = await readFile(slide);
  const post = async (
    query: string,
    accept: string,
  ): Promise<{ bytes: Buffer; seconds: number; exact: string | null }> => {
    const started = performance.now();
    const url = `${server.url}/v1/segment?model=shapes&${query}`;
    // Results that are cached would be no measure of anything.
    const headers = { accept, 'cache-control': 'no-cache' };
    const response = await fetch(url, { method: 'POST', body, headers });
    if (!response.ok)
      throw new Error(`the server responded with ${response.status}: ${await response.text()}`);
    const bytes = Buffer.from(await response.arrayBuffer());
    return {
      bytes,
      seconds: (performance.now() - started) / 1000,
      exact: response.headers.get('unseam-exact'),
    };
  };
  await post('', 'image/tiff'); // warm-up: loads the model
  const mask = await post('', 'image/tiff');
  const path = join(OUT, 'mask.tif');
  await writeFile(path, mask.bytes);
  const mpx = (SIZE.width * SIZE.height) / 1e6;
  console.log(
    `mask    ${path}: ${mask.seconds.toFixed(1)} s, ${(mpx / mask.seconds).toFixed(1)} Mpx/s over HTTP`,
  );

  const whole = await post('tile=whole', 'image/tiff');
  if (!whole.bytes.equals(mask.bytes))
    throw new Error('the tiled mask differs from the mask of one pass over the whole image');
  console.log('check   identical to the mask of one pass over the whole image: no seams');
  console.log(`check   ${(100 * (await agreement(path))).toFixed(2)} % of the pixels have the right class`);

  const overlay = await post('output=overlay', 'image/png');
  await writeFile(join(OUT, 'overlay.png'), overlay.bytes);
  console.log(
    `overlay ${join(OUT, 'overlay.png')}: the mask over the slide (triangles orange, circles blue)`,
  );
} finally {
  await server.close();
}

/** The share of a mask's pixels that equal the ground truth. */
async function agreement(path: string): Promise<number> {
  const source = await openImage(path, {
    scratchDir: tmpdir(),
    maxPixels: DEFAULTS.maxPixels,
    values: 'stored',
  });
  const { data } = await source.readRegion({ x: 0, y: 0, ...SIZE });
  await source.close();
  let correct = 0;
  for (const [i, label] of data.entries()) if (label === truth.data![i]) correct++;
  return correct / data.length;
}
