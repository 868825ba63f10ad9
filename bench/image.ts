import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Bench } from './bench.js';
import { Client, digest } from './image/client.js';
import { ServerContainer } from './image/container.js';
import { ContainerTool } from './image/container-tool.js';
import { compareSbom } from './image/sbom.js';
import { pause } from './server.js';
import { writeSlide } from './slide.js';

const TAG = 'unseam-bench';
const SIZE = { width: 6000, height: 4000 };
const MODEL = 'shapes';
const MEMORY_BYTES = 2 * 2 ** 30;
/** Each is a process of its own, whose parent is killed with the worker. */
const DEVICES = 'cpu:0,cpu:1';
/**
 * `different`: masks that are not those of `unseam segment`. `lost`: jobs and requests that did not succeed. `zombies`:
 * ended processes that nobody waited for, after a worker was killed. `secondSignalMs`: from a second SIGTERM to the end.
 * `unlisted`: packages that the image has and its list of contents has not, or the other way round.
 */
const LIMITS = { imageMb: 600, different: 0, lost: 0, zombies: 0, secondSignalMs: 3000, unlisted: 0 };

/**
 * Builds the image with Docker or Podman, and runs it as a platform would: without capabilities, on a read-only file
 * system, with a limit of memory. It refuses to start without tokens; its masks are those of the command line; SIGTERM
 * finishes a request; a job goes on after SIGKILL; nothing is left of a worker that was killed.
 */
export const bench: Bench = async (log) => {
  const tool = await ContainerTool.find();
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  const image = { image: TAG, volume: await tool.do('volume', 'create') };
  let container: ServerContainer | null = null;
  try {
    log(`building with ${tool.name}`);
    await tool.build(TAG);
    const { bytes, layers } = await tool.sizes(TAG);
    for (const layer of layers) log(`${megabytes(layer.bytes)} MB: ${layer.by}`);

    const refused = await ServerContainer.command(tool, image);
    const isRefused = refused.code !== 0 && refused.stderr.includes('tokens create');
    const create = ['tokens', 'create', '--name', 'bench', '--scope', 'segment'];
    const token = await ServerContainer.command(tool, image, ...create);
    if (token.code !== 0) throw new Error(token.stderr);

    const slide = join(dir, 'slide.tif');
    await writeSlide(slide, MODEL, SIZE);
    const expected = await digestOfCommand(slide, join(dir, 'mask.tif'));
    const port = await freePort();
    // On a busy machine, the request that is in flight takes longer than the default of 25 s.
    const args = ['-e', `UNSEAM_DEVICE=${DEVICES}`, '-e', 'UNSEAM_DRAIN=240'];
    container = await ServerContainer.start(tool, { ...image, port, memoryBytes: MEMORY_BYTES, args });
    const confinement = await confinementOf(container);
    const sbom = await compareSbom(container);
    const query = `model=${MODEL}`;
    const client = new Client(container.url, token.stdout.trim(), query, await readFile(slide), expected);
    await client.segment();
    log('a mask was requested');

    const zombies = await killWorker(container);
    log(`a worker was killed: ${zombies} zombies`);

    const job = await client.beginJob();
    await container.signal('KILL');
    await container.ended();
    await container.restart();
    const tilesResumed = await client.finishJob(job);
    log(`killed and started again: ${tilesResumed} tiles were not computed again`);

    const pending = client.segment();
    await pause(1500);
    await container.signal('TERM');
    await pending;
    const drainedCode = await container.ended();
    log(`SIGTERM during a request: exit code ${drainedCode}`);

    await container.restart();
    client.stall();
    const secondSignalMs = await endTwice(container);
    log(`a second SIGTERM during an upload: ended after ${secondSignalMs} ms`);

    const { different } = client;
    const lost = client.lost.length;
    for (const reason of client.lost) log(`lost: ${reason}`);
    const unlisted = sbom.unlisted.length + sbom.absent.length;
    const figures = { imageMb: megabytes(bytes), different, lost, zombies, secondSignalMs, unlisted };
    const names = Object.keys(LIMITS) as (keyof typeof LIMITS)[];
    return {
      tool: tool.name,
      ...figures,
      tilesResumed,
      packages: sbom.packages,
      ...confinement,
      isRefused,
      drainedCode,
      limits: LIMITS,
      holds:
        names.every((name) => figures[name] <= LIMITS[name]) &&
        isConfined(confinement) &&
        isRefused &&
        tilesResumed > 0 &&
        drainedCode === 0,
    };
  } finally {
    await container?.remove();
    await tool.try('volume', 'rm', '-f', image.volume);
    await rm(dir, { recursive: true, force: true });
  }
};

/** What the server may do, by what the kernel says. */
async function confinementOf(container: ServerContainer) {
  const status = (await container.evaluate("fs.readFileSync('/proc/self/status', 'utf8')")) as string;
  const { code } = await container.try('node', '-e', "fs.writeFileSync('/app/file', '')");
  return {
    uid: Number(/^Uid:\s+(\d+)/m.exec(status)![1]),
    capabilities: /^CapEff:\s+(\w+)/m.exec(status)![1]!,
    writesRoot: code === 0,
    memoryBytes: (await container.evaluate('process.constrainedMemory()')) as number,
  };
}

const isConfined = (found: Awaited<ReturnType<typeof confinementOf>>): boolean =>
  found.uid !== 0 &&
  /^0+$/.test(found.capabilities) &&
  !found.writesRoot &&
  found.memoryBytes === MEMORY_BYTES;

/** Kills the worker. @returns the zombies that there are when the next one is ready */
async function killWorker(container: ServerContainer): Promise<number> {
  const worker = (await container.processes()).find(({ command }) => command.includes('worker/main.js'))!;
  await container.evaluate(`process.kill(${worker.pid}, 'SIGKILL')`);
  await pause(2000);
  await container.healthy();
  return (await container.processes()).filter(({ state }) => state === 'Z').length;
}

/** Sends SIGTERM twice. @returns the time from the second one to the end, in ms */
async function endTwice(container: ServerContainer): Promise<number> {
  await pause(1000);
  await container.signal('TERM');
  await pause(1000);
  const started = performance.now();
  await container.signal('TERM');
  await container.ended();
  return Math.round(performance.now() - started);
}

/** The digest of the mask that the command line makes on this machine. */
async function digestOfCommand(slide: string, mask: string): Promise<string> {
  const bin = fileURLToPath(new URL('../server/bin.js', import.meta.url));
  await promisify(execFile)(process.execPath, [bin, 'segment', slide, '-o', mask, '--model', MODEL]);
  return digest(await readFile(mask));
}

const megabytes = (bytes: number): number => Math.round(bytes / 1e6);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}
