import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { afterAll, expect, it } from 'vitest';
import { streamEvents } from '../../../server/http/events.js';
import { EventLog } from '../../../server/jobs/events.js';
import { rawSocket } from '../../support/raw.js';

const log = new EventLog();
log.add('state', null); // queued
log.add('state', null); // running
log.add('progress', { tilesDone: 1 });
log.add('state', null); // succeeded
const errors: unknown[] = [];
const app = express().get('/', (request, response) => {
  response.on('error', (error) => errors.push(error)); // unhandled, it would crash the process
  streamEvents(request, response, log, () => ({ state: 'succeeded' }));
});
const server = createServer(app).listen(0, '127.0.0.1');
await once(server, 'listening');
afterAll(() => server.close());

it('replays all missed events of a job that has since ended, then closes the stream', async () => {
  const { port } = server.address() as AddressInfo;
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { 'last-event-id': '0' } });
  const ids = [...(await response.text()).matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
  expect(ids).toEqual([1, 2, 3, 4]);
  expect(errors).toEqual([]);
});

it('ends once its caller may not see the events any more', async () => {
  const running = new EventLog();
  running.add('state', null);
  let isAllowed = true;
  const stream = express().get('/', (request, response) =>
    streamEvents(request, response, running, () => ({ state: 'running' }), {
      isAllowed: async () => isAllowed,
      heartbeatMs: 20,
    }),
  );
  const own = createServer(stream).listen(0, '127.0.0.1');
  await once(own, 'listening');
  const { port } = own.address() as AddressInfo;
  const reader = (await fetch(`http://127.0.0.1:${port}/`)).body!.getReader();
  let text = '';
  while (!text.includes(': alive')) text += Buffer.from((await reader.read()).value!).toString();
  isAllowed = false;
  for (;;) if ((await reader.read()).done) break;
  own.close();
});

it('answers HEAD at once, with the headers of the stream', async () => {
  const running = new EventLog();
  running.add('state', null);
  const stream = express().get('/', (request, response) =>
    streamEvents(request, response, running, () => ({ state: 'running' })),
  );
  const own = createServer(stream).listen(0, '127.0.0.1');
  await once(own, 'listening');
  const { port } = own.address() as AddressInfo;
  const request = (method: string, more = '') => `${method} / HTTP/1.1\r\nhost: localhost\r\n${more}\r\n`;
  const { heard, answer } = rawSocket(
    `http://127.0.0.1:${port}`,
    request('HEAD') + request('OPTIONS', 'connection: close\r\n'),
  );
  await answer;
  expect(heard()).toMatch(/^HTTP\/1.1 200 OK\r\n[\s\S]*text\/event-stream[\s\S]*\r\n\r\nHTTP\/1.1 200 OK/);
  own.close();
});
