import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { Engine } from '../../model/engine/engine.js';
import type { JobView } from '../../server/contract/schemas/job.js';
import { writeUntrained } from '../../test/support/untrained.js';
import { BenchServer, pause } from '../server.js';
import { writeSlide } from '../slide.js';
import { serveFolder } from './file-server.js';
import { filesBelow } from './processes.js';
import { exchange } from './raw-http.js';
import { sendRequest } from './responses.js';
import { type Seed, writeSeeds } from './seeds.js';
import { jobEnded } from './sender.js';

/** How many jobs and uploads the server accepts at a time. */
const QUEUE = 24;
const SLIDE = { width: 2400, height: 1800 };
/** The server's idle timeout for bodies, in s. */
const IDLE_TIMEOUT_S = 5;

/**
 * A server with its models and slides in one folder, a second server that images are read from by URL, and the valid
 * requests by which the first is checked.
 */
export class Testbed {
  private constructor(
    readonly dir: string,
    readonly server: BenchServer,
    readonly seeds: readonly Seed[],
    readonly imageHost: string,
    private readonly images: Server,
  ) {}

  /** @param dir an empty folder */
  static async setUp(dir: string): Promise<Testbed> {
    for (const folder of ['slides', 'tmp', 'answers']) await mkdir(join(dir, folder));
    await writePlainModel(join(dir, 'models'), 'plain', 1);
    await writePlainModel(join(dir, 'models'), 'plain-colour', 3);
    const seeds = await writeSeeds(dir);
    await symlink('/etc', join(dir, 'slides', 'link-out'));
    await writeFile(join(dir, 'slides', 'seed.tif'), seeds[0]!.bytes);
    await writeSlide(join(dir, 'slide.tif'), 'shapes', SLIDE);
    const { host, server: images } = await serveFolder(join(dir, 'slides'));
    const folders = ['--models', join(dir, 'models'), '--slides', join(dir, 'slides'), '--image-hosts', host];
    const limits = ['--queue', String(QUEUE), '--idle-timeout', String(IDLE_TIMEOUT_S)];
    const environment = { TMPDIR: join(dir, 'tmp') };
    const server = await BenchServer.start(join(dir, 'data'), [...folders, ...limits], environment);
    return new Testbed(dir, server, seeds, host, images);
  }

  async tearDown(): Promise<void> {
    this.images.close();
    if (this.server.child.exitCode === null && this.server.child.signalCode === null)
      await this.server.kill();
  }

  /** Segments the slide as a job and downloads its mask; null where any of this fails. */
  async slide(): Promise<{ readonly id: string; readonly digest: string } | null> {
    const { url } = this.server;
    const body = await readFile(join(this.dir, 'slide.tif'));
    const accepted = await sendRequest(`${url}/v1/jobs?model=plain&priority=bulk`, { method: 'POST', body });
    if (accepted.status !== 202) return null;
    const { id } = JSON.parse(accepted.body.toString()) as JobView;
    const job = await jobEnded(url, id, 100);
    if (job?.state !== 'succeeded') return null;
    const mask = await sendRequest(`${url}/v1/jobs/${id}/result`);
    return { id, digest: createHash('sha256').update(mask.body).digest('hex') };
  }

  /** Cancels and deletes every job and upload over HTTP. */
  async clear(): Promise<void> {
    const { url } = this.server;
    for (let round = 0; round < 20; round++) {
      const list = await sendRequest(`${url}/v1/jobs?limit=500`);
      if (list.status !== 200) return;
      const { jobs } = JSON.parse(list.body.toString()) as { jobs: JobView[] };
      const uploads = (await readdir(join(this.dir, 'data', 'uploads'))).filter((name) =>
        /^[0-9a-f]{32}$/.test(name),
      );
      if (jobs.length === 0 && uploads.length === 0) break;
      for (const { id } of jobs) await sendRequest(`${url}/v1/jobs/${id}`, { method: 'DELETE' });
      const headers = { 'Tus-Resumable': '1.0.0' };
      for (const id of uploads) await sendRequest(`${url}/v1/uploads/${id}`, { method: 'DELETE', headers });
    }
    await pause(1000 * (IDLE_TIMEOUT_S + 1)); // until abandoned bodies have timed out
  }

  /** The server's files on disk, in its data and temporary folders. */
  async files(): Promise<string[]> {
    const folders = await Promise.all(['data', 'tmp'].map((folder) => filesBelow(join(this.dir, folder))));
    return folders.flat().map((file) => file.slice(this.dir.length + 1));
  }

  /**
   * How many places in the queue of an idle server are still taken. Sends as many images at once as there are places,
   * and counts those that do not succeed.
   */
  async placesTaken(): Promise<number> {
    const { host, port } = new URL(this.server.url);
    const { bytes } = this.seeds.find(({ name }) => name === 'PNG gray')!;
    const head =
      `POST /v1/segment?model=plain HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n` +
      `Content-Length: ${bytes.length}\r\n\r\n`;
    const send = [Buffer.concat([Buffer.from(head), bytes.subarray(0, 40)]), 700, bytes.subarray(40)];
    const responses = await Promise.all(
      Array.from({ length: QUEUE }, () => exchange(Number(port), { send, next: 'wait' })),
    );
    return responses.filter(({ status }) => status !== 200).length;
  }
}

/** Writes a small model whose classes have no colours, so that its overlays are the images as decoded. */
async function writePlainModel(models: string, name: string, inputChannels: 1 | 3): Promise<void> {
  const engine = Engine.start({ provider: 'cpu', threads: 1 });
  const folder = join(models, name, '1');
  await mkdir(join(models, name), { recursive: true });
  await writeUntrained(engine, folder, { channels: [4, 8], inputChannels, classes: 2, seed: 1 });
  await engine.close();
  const path = join(folder, 'card.json');
  const card = JSON.parse(await readFile(path, 'utf8')) as { classes: { colour: string | null }[] };
  const classes = card.classes.map((each) => ({ ...each, colour: null }));
  await writeFile(path, JSON.stringify({ ...card, name, classes }));
}
