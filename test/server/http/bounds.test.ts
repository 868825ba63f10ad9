import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { parseParameters, planShape } from '../../../server/contract/parameters.js';
import { type FakeServer, fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { rawRequest } from '../../support/raw.js';

const folder = await testFolder();
let server: FakeServer;
beforeAll(async () => {
  server = await fakeServer(join(folder, 'data'), { slides: folder });
});
afterAll(() => server?.close());

const send = async (method: string, path: string, headers: Record<string, string> = {}, body = '') => {
  const answer = await rawRequest(`${server.url}${path}`, method, headers, body);
  const { type, detail } = JSON.parse(answer.body) as { type: string; detail: string };
  return [answer.status, type.replace('urn:unseam:problem:', ''), detail] as const;
};
const post = (json: string) => send('POST', '/v1/jobs', { 'content-type': 'application/json' }, json);
const parse = (given: object) => () => parseParameters(z.strictObject(planShape), given);

describe('oversized input is refused before it is parsed', () => {
  it.each(['mpp', 'model', 'channels', 'range', 'tile', 'page'])('parameter %s', (name) => {
    expect(parse({ [name]: '1'.repeat(16_000) })).toThrow(
      `parameter "${name}": 16000 characters are too long: the limit is 3000`,
    );
  });

  it('a long URL, or one with many parameters', async () => {
    expect(await send('POST', `/v1/segment?mpp=${'1'.repeat(15_000)}x`)).toEqual([
      414,
      'address-too-long',
      expect.stringMatching(/4000 characters/),
    ]);
    const many = Array.from({ length: 200 }, (_, i) => `p${i}=1`).join('&');
    expect(await send('GET', `/v1/jobs?${many}`)).toEqual([
      400,
      'bad-request',
      expect.stringMatching(/200 parameters/),
    ]);
  });

  it.each(['Accept', 'Prefer', 'Range', 'If-Range', 'If-None-Match', 'Last-Event-ID', 'Content-Type'])(
    'a header: %s',
    async (name) => {
      expect(await send('POST', '/v1/segment?model=shapes', { [name]: 'a,'.repeat(3000) })).toEqual([
        431,
        'header-too-long',
        expect.stringMatching(new RegExp(`^header "${name}" has 6000 characters`, 'i')),
      ]);
    },
  );

  it('an idempotency key', async () => {
    const [status, code] = await send(
      'POST',
      '/v1/jobs?model=shapes',
      { 'idempotency-key': 'k'.repeat(300) },
      'x',
    );
    expect([status, code]).toEqual([431, 'header-too-long']);
  });

  it('JSON values and names', async () => {
    const source = { path: 'x.png' };
    expect(await post(JSON.stringify({ source, mpp: '1'.repeat(16_000) }))).toEqual([
      400,
      'bad-request',
      expect.stringMatching(/"mpp": 16000 characters/),
    ]);
    expect(await post(JSON.stringify({ source: { path: 'x'.repeat(9000) } }))).toEqual([
      400,
      'bad-request',
      expect.stringMatching(/^parameter "source/),
    ]);
    const [status, code, detail] = await post(JSON.stringify({ source, ['x'.repeat(30_000)]: 1 }));
    expect([status, code, detail.length < 1000]).toEqual([400, 'bad-request', true]);
  });
});

describe('an invalid parameter is refused by name', () => {
  it.each([
    ['?model=a&model=b', /"model"/],
    ['?model=shapes&__proto__=1', /__proto__/],
    ['?model=shapes&constructor=1', /constructor/],
    ['?range=,5', /"range"/],
    ['?range=0x1,0x5', /"range"/],
    ['?simplify=', /"simplify"/],
    ['?simplify=0x5', /"simplify"/],
  ])('%s', async (query, detail) => {
    expect(await send('POST', `/v1/jobs${query}`, {}, 'x')).toEqual([
      400,
      'bad-request',
      expect.stringMatching(detail),
    ]);
  });

  it.each([
    ['{"source": {"path": "x.png"}, "__proto__": {"model": "shapes"}}', /__proto__/],
    [`{"source": {"path": "x.png"}, "channels": ${'['.repeat(9000)}${']'.repeat(9000)}}`, /"channels"/],
    ['{"source": {"path": "x.png"}, "model": {"a": 1}}', /"model"/],
    ['{"source": {"path": "x\\u0000.png"}, "model": "shapes"}', /"source/],
    ['[1]', /./],
    ['null', /./],
  ])('JSON: %.60s', async (json, detail) => {
    expect(await post(json)).toEqual([400, 'bad-request', expect.stringMatching(detail)]);
  });

  it('numbers are parsed strictly', () => {
    for (const [mpp, x] of [
      ['0.5', 0.5],
      ['.25', 0.25],
      ['auto,2.5e-1', 0.25],
      ['12', 12],
    ] as const)
      expect(parse({ mpp })().mpp.own).toEqual({ x, y: x });
    expect(parse({ range: '-1.5,4e3' })().range).toEqual([-1.5, 4000]);
    expect(parse({ mpp: 'auto' })().mpp).toEqual({ scale: true, own: undefined });
    for (const mpp of ['1.', 'auto,', '-1', '1e']) expect(parse({ mpp })).toThrow('parameter "mpp"');
  });
});
