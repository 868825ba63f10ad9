import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunningServer } from '../../../../server/serve.js';
import { expectDescribed } from '../../../support/contract.js';
import { testFolder } from '../../../support/files.js';
import { testServer, unseam, unseamHere } from '../../../support/product.js';

const [WIDTH, HEIGHT] = [210, 150];
const SHAPE = [1, HEIGHT, WIDTH, 1];

const folder = await testFolder();
let server: RunningServer;
let pixels: Buffer;
/** What `unseam segment` writes of the same pixels. */
let labels: Buffer;
let probabilities: Buffer;
beforeAll(async () => {
  await unseamHere(['samples', '-o', folder, '-s', `${WIDTH}x${HEIGHT}`, '-n', '1']);
  const image = join(folder, 'images', 'shapes-0001.png');
  pixels = await sharp(image).extractChannel(0).raw().toBuffer();
  const [mask, also] = [join(folder, 'mask.png'), join(folder, 'p.raw')];
  const { code, stderr } = await unseam([
    'segment',
    image,
    '-m',
    'shapes',
    '-o',
    mask,
    '--also',
    `probabilities=${also}`,
  ]);
  expect([code, stderr]).toEqual([0, stderr]);
  labels = await sharp(mask).extractChannel(0).raw().toBuffer();
  probabilities = await readFile(also);
  server = await testServer(join(folder, 'data'), {
    syncPixels: WIDTH * HEIGHT,
    reusesResults: true,
    responseCacheBytes: 1e7,
  });
});
afterAll(() => server?.close());

interface Reply {
  readonly outputs: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly data?: number[];
    readonly parameters?: { readonly binary_data_size: number };
  }[];
  readonly id?: string;
  readonly error?: string;
}
const url = (path: string) => `${server.url}/v2${path}`;

/** An inference with binary values; `head` and `headers` replace what it sends. */
function inferBinary(
  head: object = {},
  headers: Record<string, string> = {},
  body = pixels,
): Promise<Response> {
  const image = {
    name: 'image',
    datatype: 'UINT8',
    shape: SHAPE,
    parameters: { binary_data_size: pixels.length },
  };
  const json = Buffer.from(JSON.stringify({ inputs: [image], ...head }));
  return fetch(url('/models/shapes/infer'), {
    method: 'POST',
    headers: {
      'Content-Type': 'application/octet-stream',
      'Inference-Header-Content-Length': String(json.length),
      ...headers,
    },
    body: new Uint8Array(Buffer.concat([json, body])),
  });
}
const inferJson = (body: object, path = '/models/shapes/infer') =>
  fetch(url(path), { method: 'POST', body: JSON.stringify(body) });
const jsonInput = () => ({ name: 'image', datatype: 'UINT8', shape: SHAPE, data: [...pixels] });

/** The JSON of a response, and the bytes behind it. */
async function parts(response: Response): Promise<{ readonly json: Reply; readonly values: Buffer }> {
  expect(response.status).toBe(200);
  const body = Buffer.from(await response.arrayBuffer());
  const length = Number(response.headers.get('Inference-Header-Content-Length') ?? body.length);
  return { json: JSON.parse(body.subarray(0, length).toString()) as Reply, values: body.subarray(length) };
}

describe('an inference', () => {
  it('has the mask of `unseam segment`, in JSON', async () => {
    const response = await inferJson({ id: 'a', inputs: [jsonInput()] });
    expect(response.headers.get('unseam-exact')).toBe('true');
    const { outputs, ...rest } = (await expectDescribed('infer', response)) as Reply;
    expect(rest).toEqual({ model_name: 'shapes', model_version: '1', id: 'a' });
    const [{ data, ...output }] = outputs as [Reply['outputs'][number]];
    expect(output).toEqual({ name: 'labels', datatype: 'UINT8', shape: [1, HEIGHT, WIDTH] });
    expect(Buffer.from(data!).equals(labels)).toBe(true);
  });

  it('has the same bits in binary, labels and probabilities', async () => {
    const outputs = [{ name: 'probabilities', parameters: { binary_data: true } }, { name: 'labels' }];
    const parameters = { binary_data_output: true, tile: 188 };
    const { json, values } = await parts(await inferBinary({ outputs, parameters }));
    expect(json.outputs).toEqual([
      {
        name: 'probabilities',
        datatype: 'FP32',
        shape: [1, HEIGHT, WIDTH, probabilities.length / 4 / labels.length],
        parameters: { binary_data_size: probabilities.length },
      },
      {
        name: 'labels',
        datatype: 'UINT8',
        shape: [1, HEIGHT, WIDTH],
        parameters: { binary_data_size: labels.length },
      },
    ]);
    expect(values.equals(Buffer.concat([probabilities, labels]))).toBe(true);
  });

  it('has the same again from the cache, whichever outputs it has', async () => {
    const computing = server;
    const cache = { reusesResults: true, responseCacheBytes: 2 ** 21 };
    server = await testServer(join(folder, 'cached'), { syncPixels: WIDTH * HEIGHT, ...cache });
    try {
      for (const outputs of [['labels'], ['labels', 'probabilities'], ['probabilities', 'labels']]) {
        const head = {
          outputs: outputs.map((name) => ({ name })),
          parameters: { binary_data_output: true },
        };
        const first = await inferBinary(head);
        const again = await inferBinary(head);
        expect(again.headers.get('cache-status')).toBe('unseam; hit');
        expect(await parts(again)).toEqual(await parts(first));
      }
    } finally {
      await server.close();
      server = computing;
    }
  });

  it('may take one output in binary, and the other in JSON', async () => {
    const outputs = [{ name: 'probabilities' }, { name: 'labels', parameters: { binary_data: true } }];
    const { json, values } = await parts(await inferBinary({ outputs }));
    expect(values.equals(labels)).toBe(true);
    expect(Buffer.from(Float32Array.from(json.outputs[0]!.data!).buffer).equals(probabilities)).toBe(true);
  });

  it('takes integers of 16 bits and floats as a file of them is taken', async () => {
    const values = Float32Array.from(pixels, (value) => value / 255);
    const input = {
      name: 'image',
      datatype: 'FP32',
      shape: SHAPE,
      parameters: { binary_data_size: values.byteLength },
    };
    const floats = await inferBinary(
      { inputs: [input], parameters: { range: [0, 1] } },
      {},
      Buffer.from(values.buffer),
    );
    expect((await parts(floats)).json.outputs[0]!.data).toHaveLength(labels.length);
    const words = Uint16Array.from(pixels, (value) => value * 257);
    const wide = { ...input, datatype: 'UINT16', parameters: { binary_data_size: words.byteLength } };
    const { json } = await parts(await inferBinary({ inputs: [wide] }, {}, Buffer.from(words.buffer)));
    expect(Buffer.from(json.outputs[0]!.data!).equals(labels)).toBe(true);
  });

  it('has the results of an earlier one', async () => {
    const request = {
      outputs: [{ name: 'labels' }, { name: 'probabilities' }],
      parameters: { binary_data_output: true },
    };
    const first = await inferBinary(request);
    const again = await inferBinary(request);
    expect(again.headers.get('cache-status')).toBe('unseam; hit');
    expect(await parts(again)).toEqual(await parts(first));
  });

  it('leaves nothing behind', async () => {
    expect(await (await fetch(`${server.url}/v1/jobs`)).json()).toMatchObject({ jobs: [] });
  });
});

describe('an inference is refused', () => {
  const refusal = async (pending: Promise<Response>) => {
    const response = await pending;
    const { detail, error } = (await expectDescribed('infer', response)) as { detail: string; error: string };
    expect(error).toBe(detail);
    return `${response.status}: ${detail}`;
  };
  const input = (changes: object) => inferJson({ inputs: [{ ...jsonInput(), ...changes }] });

  it('by its shape, before its values are read', async () => {
    expect(await refusal(input({ shape: [3, 1, 1, 1] }))).toMatch(/^400: the shape has 3 images/);
    expect(await refusal(input({ shape: [1, 8, 8, 65] }))).toMatch(/^400: the shape has 65 channels/);
    expect(await refusal(input({ shape: [8, 8] }))).toMatch(
      /^400: .*expected \[1, height, width, channels\]/,
    );
    expect(await refusal(input({ shape: [1, HEIGHT + 1, WIDTH, 1] }))).toMatch(/^413/);
  });

  it('by what it says and sends', async () => {
    expect(await refusal(input({ datatype: 'INT64' }))).toMatch(/^400: parameter "inputs.0.datatype"/);
    expect(await refusal(input({ name: 'x' }))).toMatch(/^400: .*the input is named "image"/);
    expect(await refusal(input({ data: [1] }))).toMatch(/^400: the data has 1 values; its shape has 31500/);
    expect(await refusal(inferJson({ inputs: [jsonInput()], outputs: [{ name: 'x' }] }))).toMatch(
      /^400: .*outputs.0.name/,
    );
    const twice = [{ name: 'labels' }, { name: 'labels' }];
    expect(await refusal(inferJson({ inputs: [jsonInput()], outputs: twice }))).toMatch(/^400: .*twice/);
    expect(await refusal(inferJson({ inputs: [jsonInput()], parameters: { sequence_id: 3 } }))).toMatch(
      /^400: there is no parameter "sequence_id"/,
    );
    expect(await refusal(inferJson({ inputs: [] }))).toMatch(/^400: .*expected one input/);
    expect(await refusal(fetch(url('/models/shapes/infer'), { method: 'POST', body: '{' }))).toMatch(
      /^400: the JSON/,
    );
  });

  it('by binary values that are not those of its shape', async () => {
    expect(await refusal(inferBinary({}, {}, pixels.subarray(1)))).toMatch(
      /^400: the bytes behind the JSON are 31499/,
    );
    const input = { name: 'image', datatype: 'UINT8', shape: SHAPE, parameters: { binary_data_size: 9 } };
    expect(await refusal(inferBinary({ inputs: [input] }))).toMatch(/^400: binary_data_size is 9/);
    expect(await refusal(inferBinary({}, { 'Inference-Header-Content-Length': '99999' }))).toMatch(
      /^400: .*65536/,
    );
    expect(await refusal(inferBinary({}, { 'Content-Encoding': 'gzip' }))).toMatch(
      /^400: the body is in gzip/,
    );
  });

  it('by more JSON than is read', async () => {
    const body = new Uint8Array(Buffer.alloc(5e6, ' '));
    const refused = fetch(url('/models/shapes/infer'), { method: 'POST', body });
    expect(await refusal(refused)).toMatch(/^413: the JSON has 5000000 bytes; .* binary data$/);
  });

  it('by a model that there is not', async () => {
    expect(await refusal(inferJson({ inputs: [jsonInput()] }, '/models/none/infer'))).toMatch(/^404/);
    expect(await refusal(inferJson({ inputs: [jsonInput()] }, '/models/shapes/versions/9/infer'))).toMatch(
      /^404/,
    );
  });
});

describe('a client of the protocol', () => {
  it('learns of the server and of its models', async () => {
    const get = async (name: Parameters<typeof expectDescribed>[0], path: string) =>
      expectDescribed(name, await fetch(url(path)));
    expect(await get('getInferenceServer', '')).toMatchObject({ name: 'unseam' });
    expect(await get('isInferenceLive', '/health/live')).toEqual({ live: true });
    expect(await get('isInferenceReady', '/health/ready')).toEqual({ ready: true });
    const shapes = await get('getInferenceModel', '/models/shapes');
    expect(shapes).toMatchObject({
      versions: ['1'],
      inputs: [{ name: 'image', datatype: 'UINT8', shape: [1, -1, -1, 1] }],
    });
    expect(await get('getInferenceModelVersion', '/models/shapes/versions/1')).toEqual(shapes);
    expect(await get('isInferenceModelReady', '/models/shapes/ready')).toEqual({
      name: 'shapes',
      ready: true,
    });
    await get('isInferenceModelVersionReady', '/models/em-membrane/versions/1-int8/ready');
    await get('isInferenceModelReady', '/models/none/ready');
    const { models } = (await get('listInferenceModels', '/models')) as {
      models: { name: string; versions: string[] }[];
    };
    expect(models.map(({ name, versions }) => [name, versions])).toEqual([
      ['em-membrane', ['1', '1-int8']],
      ['shapes', ['1']],
      ['shapes-notebook', ['1']],
    ]);
    const index = await fetch(url('/repository/index'), { method: 'POST' });
    expect(await expectDescribed('indexInferenceModels', index)).toContainEqual({
      name: 'shapes',
      version: '1',
      state: 'READY',
      reason: '',
    });
  });
});
