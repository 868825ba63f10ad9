import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatOfFile } from '../server/contract/outputs.js';
import { firstDifference } from '../test/support/rasters.js';
import { writeTestTiff } from '../test/support/tiff.js';
import { SAMPLE_KINDS } from '../tiling/samples/sample.js';
import { openImage } from '../tiling/sources/open.js';
import { stackFor } from '../tiling/stack.js';
import type { Bench } from './bench.js';
import { BenchServer, pause } from './server.js';

const SIZE = { width: 900, height: 700 };
const STACK = { sizeC: 3, sizeZ: 5, sizeT: 7 };
const PLANES = STACK.sizeZ * STACK.sizeT;
const KILLS = 6;
const QUERY = 'model=shapes&tile=284&channels=1';
const FILES = ['labels.tif', 'geojson.geojson', 'objects.csv', 'instances.tif'] as const;
const OUTPUTS = FILES.map((file) => `${file.split('.')[0]}:${formatOfFile(file)}`).join();
/** `slower`: the time of the stack, relative to that of its planes in turn. */
const LIMITS = { differing: 0, lost: 0, different: 0, slower: 1 };
const ALL = { z: 'all', t: 'all' } as const;

/**
 * A stack of planes, times and channels in one job: its planes are compared with the jobs of each, and what it writes
 * with that of jobs whose server was killed with SIGKILL at a random moment.
 */
export const bench: Bench = async (log) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  const data = join(dir, 'data');
  try {
    const input = join(dir, 'stack.ome.tif');
    await writeStack(input);
    let server = await BenchServer.start(data);
    const run = async (query: string) => {
      const started = performance.now();
      const job = await server.ended((await server.submit(input, `${QUERY}&${query}`)).id);
      if (job.state !== 'succeeded') throw new Error(`the job ${job.state}: ${job.error?.detail}`);
      return { id: job.id, ms: performance.now() - started };
    };
    const digest = async (id: string) => {
      const hash = createHash('sha256');
      for (const file of FILES) hash.update(await readFile(join(data, 'jobs', id, file)));
      return hash.digest('hex');
    };
    await run('z=0&t=0'); // warm-up: loads the model
    const stack = await run('z=all&t=all');
    const expected = await digest((await run(`z=all&t=all&output=${OUTPUTS}`)).id);
    const { differing, singleMs } = await compare(
      join(data, 'jobs', stack.id, 'labels.tif'),
      dir,
      async (plane) => {
        const { id, ms } = await run(plane);
        return { path: join(data, 'jobs', id, 'labels.tif'), ms };
      },
    );
    log(
      `${PLANES} planes: ${differing} differ, ${stack.ms.toFixed(0)} ms in one job, ${singleMs.toFixed(0)} ms in ${PLANES}`,
    );
    let [lost, different] = [0, 0];
    for (let i = 0; i < KILLS; i++) {
      const { id } = await server.submit(input, `${QUERY}&z=all&t=all&output=${OUTPUTS}`);
      await pause(Math.random() * stack.ms);
      const { planesDone = 0 } = (await server.job(id)).progress ?? {};
      await server.kill();
      server = await BenchServer.start(data);
      const { state, progress } = await server.ended(id);
      if (state !== 'succeeded') lost++;
      else if ((await digest(id)) !== expected) different++;
      log(
        `${i + 1}: killed at ${planesDone} of ${PLANES} planes, ${progress?.tilesReplayed} tiles resumed, ${state}`,
      );
    }
    await server.stop();
    const slower = Number((stack.ms / singleMs).toFixed(3));
    const holds = differing + lost + different === 0 && slower <= LIMITS.slower;
    return { ...STACK, ...SIZE, differing, slower, kills: KILLS, lost, different, limits: LIMITS, holds };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
};

/** Compares the planes of a mask with the masks of jobs of each: how many differ, and how long these jobs took. */
async function compare(
  mask: string,
  scratchDir: string,
  single: (query: string) => Promise<{ readonly path: string; readonly ms: number }>,
) {
  const options = { scratchDir, maxPixels: 1e9, values: 'stored' } as const;
  const whole = { x: 0, y: 0, ...SIZE };
  const image = await openImage(mask, { ...options, ...ALL });
  const planes = stackFor(image, ALL)!;
  let [differing, singleMs] = [0, 0];
  for (const [i, { z, t }] of planes.planes.entries()) {
    const { path, ms } = await single(`z=${z}&t=${t}`);
    singleMs += ms;
    const alone = await openImage(path, options);
    const [own, other] = [await planes.source(i).readRegion(whole), await alone.readRegion(whole)];
    if (firstDifference(own.data, other.data) >= 0) differing++;
    await alone.close();
  }
  await planes.close();
  await image.close();
  return { differing, singleMs };
}

/** Writes an OME-TIFF whose planes are all different. */
async function writeStack(path: string): Promise<void> {
  const { sizeC, sizeZ, sizeT } = STACK;
  const { width, height } = SIZE;
  const pages = Array.from({ length: sizeC * sizeZ * sizeT }, (_, seed) => {
    const data = new Uint8Array(width * height);
    SAMPLE_KINDS.shapes.paint({ x: 0, y: 0, ...SIZE }, seed, data, new Uint8Array(width * height));
    return { data, width, height, channels: 1 };
  });
  const description =
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" ' +
    `DimensionOrder="XYCZT" Type="uint8" SizeX="${width}" SizeY="${height}" SizeC="${sizeC}" SizeZ="${sizeZ}" ` +
    `SizeT="${sizeT}"><TiffData/></Pixels></Image></OME>`;
  await writeTestTiff(path, pages, { compression: 8, description });
}
