import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { readOnnx } from '../../../model/imported/onnx-file.js';
import { packOnnx } from '../../../model/imported/pack-onnx.js';
import { Model } from '../../../model/onnx/proto.js';
import { readOnnxSource } from '../../../model/shelf/onnx-source.js';
import { OnnxGraphs } from '../../support/onnx-graphs.js';

const node = { input: ['x', 'w'], output: ['y'], opType: 'Add' };
const opsetImport = [{ domain: '', version: 17 }];
const encode = (graph: object, more: object = { opsetImport }) =>
  Model.encode({ irVersion: 8, ...more, graph } as never).finish();

describe('an ONNX file', () => {
  it('is read: nodes, constants, inputs and outputs', () => {
    const g = new OnnxGraphs(3, [32, 'w']);
    const graph = readOnnx(g.file(g.conv('image', 3, 2)));
    expect(graph.opset).toBe(18);
    expect(graph.nodes.map(({ opType }) => opType)).toEqual(['Conv', 'Identity']);
    expect(graph.inputs).toEqual([{ name: 'image', dims: [null, 3, 32, null] }]);
    expect([...graph.constants.values()].map(({ dims }) => dims)).toEqual([[2, 3, 3, 3], [2]]);
  });

  it.each<[string, object, RegExp]>([
    [
      'claims more values than it has',
      { dims: [1 << 20, 1 << 20], dataType: 1, rawData: new Uint8Array(4) },
      /has 1 values/,
    ],
    [
      'has a negative dimension',
      { dims: [-1], dataType: 1, rawData: new Uint8Array(4) },
      /has the shape \[-1\]/,
    ],
    [
      'has values of an unknown type',
      { dims: [1], dataType: 8, rawData: new Uint8Array(4) },
      /elements of type 8/,
    ],
    [
      'has its weights elsewhere',
      { dims: [1], dataType: 1, dataLocation: 1, externalData: [{ key: 'location', value: 'w' }] },
      /another file, "w"/,
    ],
  ])('is refused whose tensor %s', (_name, tensor, reason) => {
    const graph = { node: [node], initializer: [{ name: 'w', ...tensor }] };
    expect(() => readOnnx(encode(graph))).toThrow(
      expect.objectContaining({ code: 'bad-onnx-file', message: expect.stringMatching(reason) }),
    );
  });

  it.each([
    ['is none', Buffer.from('no model'), /not an ONNX model/],
    ['is empty', new Uint8Array(), /not an ONNX model/],
    [
      'has operators of another version',
      encode({ node: [node] }, { opsetImport: [{ domain: '', version: 7 }] }),
      /version 7 .* 9 to 24/,
    ],
    ['is cut off', encode({ node: [node] }).subarray(0, 8), /not an ONNX model/],
  ])('that %s is refused', (_name, bytes, reason) => {
    expect(() => readOnnx(bytes)).toThrow(
      expect.objectContaining({ code: 'bad-onnx-file', message: expect.stringMatching(reason) }),
    );
  });

  it.each([
    ['floats', { dataType: 1, floatData: [1.5, -2] }],
    ['16 bits', { dataType: 10, rawData: new Uint8Array(Uint16Array.of(0x3e00, 0xc000).buffer) }],
    ['64 bits', { dataType: 11, doubleData: [1.5, -2] }],
    ['bfloat16', { dataType: 16, rawData: new Uint8Array(Uint16Array.of(0x3fc0, 0xc000).buffer) }],
  ])('has numbers as %s', (_name, tensor) => {
    const graph = { node: [node], initializer: [{ name: 'w', dims: [2], ...tensor }] };
    expect([...readOnnx(encode(graph)).constants.get('w')!.values]).toEqual([1.5, -2]);
  });
});

describe('weights in files beside it', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'unseam-onnx-'));
    await mkdir(join(dir, 'model'));
    await writeFile(join(dir, 'secret'), 'secret');
    await writeFile(join(dir, 'model/weights'), new Uint8Array(Float32Array.of(9, 1.5, -2).buffer));
    await symlink(join(dir, 'secret'), join(dir, 'model/link'));
  });
  afterAll(() => rm(dir, { recursive: true }));

  const write = async (entries: Record<string, string>) => {
    const externalData = Object.entries(entries).map(([key, value]) => ({ key, value }));
    const initializer = [{ name: 'w', dims: [2], dataType: 1, dataLocation: 1, externalData }];
    await writeFile(join(dir, 'model/m.onnx'), encode({ node: [node], initializer }));
    return readOnnxSource(join(dir, 'model/m.onnx'));
  };

  it('become part of it', async () => {
    const { constants } = readOnnx(await write({ location: 'weights', offset: '4', length: '8' }));
    expect([...constants.get('w')!.values]).toEqual([1.5, -2]);
  });

  it('are refused where they are more than a file can have, however often they name the same bytes', () => {
    const tensor = {
      dims: [1 << 28],
      dataType: 1,
      dataLocation: 1,
      externalData: [{ key: 'location', value: 'weights' }],
    };
    const initializer = ['a', 'b', 'c'].map((name) => ({ name, ...tensor }));
    const read = vi.fn();
    expect(() => packOnnx(encode({ node: [node], initializer }), null, read)).toThrow(
      expect.objectContaining({
        code: 'bad-onnx-file',
        message: expect.stringMatching(/bytes with its weights/),
      }),
    );
    expect(read).not.toHaveBeenCalled();
  });

  it.each([
    ['leaves its folder', { location: '../secret' }, /outside of its folder/],
    ['is absolute', { location: '/etc/passwd' }, /outside of its folder/],
    ['is a link that leaves it', { location: 'link' }, /leads out of its folder/],
    ['is missing', { location: 'none' }, /missing/],
    [
      'is too short',
      { location: 'weights', offset: '8', length: '8' },
      /claims 8 bytes from 8 on, and there are 12/,
    ],
    [
      'has other bytes than the shape',
      { location: 'weights', length: '1073741824' },
      /claims 1073741824 bytes at 0 of "weights"; its shape has 8/,
    ],
    ['is read from no place', { location: 'weights', offset: 'x' }, /bytes at NaN/],
  ])('a file that %s is refused', async (_name, entries, reason) => {
    await expect(write(entries)).rejects.toMatchObject({
      code: 'bad-onnx-file',
      message: expect.stringMatching(reason),
    });
  });
});
