import { openAsBlob } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Job, ProblemError, Unseam } from '../../client/index.js';
import { FAKE_RESULT, type FakeServer, fakeImage, fakeServer } from '../support/fake-server.js';
import { testFolder } from '../support/files.js';
import { makeToken } from '../support/tokens.js';

const folder = await testFolder();
const image = new Uint8Array(fakeImage(900, 700));
let server: FakeServer;
let unseam: Unseam;
beforeAll(async () => {
  const data = join(folder, 'data');
  const token = await makeToken(data, 'client', ['segment']);
  server = await fakeServer(data, { syncPixels: 1e6 });
  unseam = new Unseam({ url: `${server.url}/`, token });
});
afterAll(() => server?.close());

interface Proxied {
  readonly name: string;
  /** Has the server do it. */
  readonly forward: () => Promise<Response>;
  readonly respond: (from: Response) => Promise<void>;
  /** Responds until a chunk has a text, and breaks the connection when that chunk is sent. */
  readonly respondUntil: (from: Response, text: string) => Promise<void>;
  readonly cut: () => void;
}

/** A proxy in front of the server, which may break connections. */
async function proxy(handle: (request: Proxied) => Promise<void>) {
  const listener: RequestListener = (request, response) => {
    const forward = async () => {
      const body = Buffer.concat(await request.toArray());
      const { authorization = '', ...all } = request.headers as Record<string, string>;
      const passed = ['content-type', 'last-event-id'].filter((name) => all[name] !== undefined);
      const tus = Object.keys(all).filter((name) => /^(tus|upload)-/.test(name));
      return fetch(server.url + request.url, {
        method: request.method!,
        headers: {
          authorization,
          ...Object.fromEntries([...passed, ...tus].map((name) => [name, all[name]!])),
        },
        body: body.length > 0 ? new Uint8Array(body) : null,
      });
    };
    const respond = async (from: Response) => {
      response.writeHead(from.status, Object.fromEntries(from.headers));
      for await (const chunk of from.body ?? []) response.write(chunk);
      response.end();
    };
    const cut = () => void request.socket.destroy();
    const respondUntil = async (from: Response, text: string) => {
      response.writeHead(from.status, Object.fromEntries(from.headers));
      for await (const chunk of from.body!) {
        await new Promise((resolve) => response.write(chunk, resolve));
        if (Buffer.from(chunk).includes(text)) return cut();
      }
    };
    const name = `${request.method} ${request.url}`;
    void handle({ name, forward, respond, respondUntil, cut }).catch(cut);
  };
  const http = createServer(listener).listen(0, '127.0.0.1');
  await new Promise((resolve) => http.once('listening', resolve));
  const { port } = http.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close: () => http.close() };
}

describe('the client', () => {
  it('gets a mask with its receipt, or the job of a large image', async () => {
    const small = await unseam.segment(image, { model: 'shapes', output: 'labels:png' });
    expect([small.mask?.type, small.receipt?.model.name]).toEqual(['image/png', 'shapes']);
    expect(Buffer.from(await small.mask!.arrayBuffer()).equals(FAKE_RESULT)).toBe(true);
    const large = await unseam.segment(new Uint8Array(fakeImage(2000, 2000)), { model: 'shapes' });
    expect(large.mask).toBeNull();
    expect(await unseam.jobs.wait(large.job!.id)).toMatchObject({ state: 'succeeded' });
  });

  it('follows a job to its end, and gets its result', async () => {
    const release = server.worker.block();
    const { id } = await unseam.jobs.createFrom(
      image,
      { model: 'shapes', tta: true },
      { idempotencyKey: 'once' },
    );
    expect(
      (await unseam.jobs.createFrom(image, { model: 'shapes', tta: true }, { idempotencyKey: 'once' })).id,
    ).toBe(id);
    const states: Job['state'][] = [];
    const ended = unseam.jobs.wait(id, { onChange: ({ state }) => states.push(state) });
    await expect.poll(() => states.length).toBeGreaterThan(0);
    release();
    expect(await ended).toMatchObject({ id, state: 'succeeded', progress: { tilesDone: 4 } });
    expect(states.at(-1)).toBe('succeeded');
    expect(states).toContain('running');
    const response = await unseam.jobs.result(id, { output: 'labels' }, { range: 'bytes=0-99' });
    expect([response.status, (await response.arrayBuffer()).byteLength]).toEqual([206, 100]);
    expect((await unseam.jobs.list({ state: 'succeeded', limit: 1 })).jobs).toHaveLength(1);
    await unseam.jobs.delete(id);
    await expect(unseam.jobs.get(id)).rejects.toMatchObject({ code: 'not-found', status: 404 });
  });

  it('uploads a file, and makes a job of it', async () => {
    const path = join(folder, 'slide.png');
    await writeFile(path, Buffer.concat([image, Buffer.alloc(10_000)]));
    const sent: number[] = [];
    const address = await unseam.uploads.send(await openAsBlob(path), {
      name: 'Füße.png',
      partBytes: 4000,
      onProgress: (bytes) => sent.push(bytes),
    });
    expect(sent).toEqual([4000, 8000, (await readFile(path)).length]);
    const job = await unseam.jobs.create({ source: { upload: address }, model: 'shapes', mpp: 0.5 });
    expect(job.source).toMatchObject({ kind: 'upload', name: 'Füße.png' });
    await unseam.jobs.wait(job.id);
  });

  it('says why it was refused', async () => {
    const refused = unseam.jobs.create({ source: { path: 'a.tif' }, model: 'none' });
    await expect(refused).rejects.toThrow(ProblemError);
    await expect(refused).rejects.toMatchObject({ code: 'unknown-model', status: 404, retryAfterMs: null });
    await expect(new Unseam({ url: server.url }).models()).rejects.toMatchObject({ code: 'unauthorized' });
    expect((await unseam.session()).scopes).toEqual(['segment']);
  });
});

describe('over a network that breaks', () => {
  it('an upload goes on where the server has its bytes', async () => {
    let parts = 0;
    const broken = await proxy(async ({ name, forward, respond, cut }) => {
      const response = await forward();
      // The server has the second part, and its response is lost.
      if (name.startsWith('PATCH') && ++parts === 2) cut();
      else await respond(response);
    });
    const token = await makeToken(join(folder, 'data'), 'uploader', ['segment']);
    const through = new Unseam({ url: broken.url, token });
    const sent: number[] = [];
    const address = await through.uploads.send(new Blob([image, new Uint8Array(5000)]), {
      partBytes: 2000,
      onProgress: (bytes) => sent.push(bytes),
    });
    expect(sent.at(-1)).toBe(image.length + 5000);
    expect(await through.uploads.received(address)).toBe(image.length + 5000);
    await through.uploads.delete(address);
    broken.close();
  });

  it('the events of a job continue', async () => {
    const release = server.worker.block();
    let streams = 0;
    const broken = await proxy(async ({ name, forward, respond, respondUntil }) => {
      const response = await forward();
      if (!name.includes('/events')) return respond(response);
      if (++streams === 1) return respondUntil(response, 'event: state');
      release();
      await respond(response);
    });
    const token = await makeToken(join(folder, 'data'), 'follower', ['segment']);
    const through = new Unseam({ url: broken.url, token });
    const { id } = await through.jobs.createFrom(image, { model: 'shapes' });
    expect(await through.jobs.wait(id)).toMatchObject({ state: 'succeeded' });
    expect(streams).toBe(2);
    broken.close();
  });
});
