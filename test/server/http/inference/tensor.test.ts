import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Datatype } from '../../../../server/contract/schemas/inference.js';
import { bytesOfValues, tensorOf } from '../../../../server/http/inference/tensor.js';
import { tiffHeader } from '../../../../server/http/inference/tiff-header.js';
import { openImage } from '../../../../tiling/sources/open.js';
import { testFolder } from '../../../support/files.js';

const input = (shape: number[], datatype: Datatype = 'UINT8') => ({
  name: 'image' as const,
  shape,
  datatype,
});
const folder = await testFolder();

describe('a tensor', () => {
  it('is an image, whose values are the pixels of a TIFF behind its header', async () => {
    for (const [datatype, max] of [
      ['UINT8', 255],
      ['UINT16', 65_535],
      ['FP32', 1],
    ] as const) {
      for (const [height, width, channels] of [
        [3, 2, 1],
        [700, 900, 3],
        [1, 1, 3],
        [9, 20_000, 1],
      ] as const) {
        const tensor = tensorOf(input([1, height, width, channels], datatype), 1e8);
        const count = height * width * channels;
        const values = Array.from({ length: count }, (_, i) =>
          datatype === 'FP32' ? i / count : (i * 7) % (max + 1),
        );
        const path = join(folder, `${datatype}-${height}.tif`);
        await writeFile(path, Buffer.concat([tiffHeader(tensor), bytesOfValues(values, tensor)]));
        const image = await openImage(path, { scratchDir: folder, maxPixels: 1e8, values: 'stored' });
        expect([image.size, image.facts.channels]).toEqual([{ width, height }, channels]);
        const { data } = await image.readRegion({ x: 0, y: 0, width, height });
        await image.close();
        const read = datatype === 'FP32' ? Float32Array.from(values) : values;
        expect(
          Buffer.from(Float32Array.from(data).buffer).equals(Buffer.from(Float32Array.from(read).buffer)),
        ).toBe(true);
      }
    }
  });

  it('may be nested as its shape is', () => {
    const tensor = tensorOf(input([1, 2, 2, 1]), 4);
    const flat = bytesOfValues([1, 2, 3, 4], tensor);
    expect(
      bytesOfValues(
        [
          [
            [[1], [2]],
            [[3], [4]],
          ],
        ],
        tensor,
      ),
    ).toEqual(flat);
    expect([...flat]).toEqual([1, 2, 3, 4]);
  });

  it('is refused by its shape, before it is received', () => {
    const refused = (shape: number[], datatype?: Datatype) => () => tensorOf(input(shape, datatype), 1e9);
    expect(refused([2, 8, 8, 1])).toThrow('the shape has 2 images: send one with each request');
    expect(refused([1, 8, 8, 65])).toThrow('the shape has 65 channels: expected 1 for gray, 3 for RGB');
    expect(refused([1, 40_000, 40_000, 1])).toThrow(/40,?000/);
    expect(refused([1, 30_000, 30_000, 3], 'FP32')).toThrow(/bytes; the limit is/);
  });

  it('is refused by a value that its type does not have, or by their number', () => {
    const write =
      (data: unknown[], datatype: Datatype = 'UINT8') =>
      () =>
        bytesOfValues(data, tensorOf(input([1, 1, 2, 1], datatype), 4));
    expect(write([1, 256])).toThrow('the data has 256 at 1: expected an integer from 0 to 255');
    expect(write([-1, 0], 'UINT16')).toThrow('the data has -1 at 0: expected an integer from 0 to 65535');
    expect(write([0.5, 0])).toThrow('the data has 0.5 at 0');
    expect(write([null, 0], 'FP32')).toThrow('the data has null at 0: expected a number');
    expect(write([1])).toThrow('the data has 1 values; its shape has 2');
    expect(write([1, 2, 3])).toThrow('the data has 3 values');
    const nested = (depth: number, inner: unknown = 1) =>
      JSON.parse(`${'['.repeat(depth)}${JSON.stringify(inner)}${']'.repeat(depth)}`) as unknown[];
    for (const depth of [5, 200_000])
      expect(write(nested(depth))).toThrow('the data is nested deeper than its shape: 4 lists at most');
    const object = `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`;
    expect(write([JSON.parse(object), 1])).toThrow(
      'the data has an object at 0: expected an integer from 0 to 255',
    );
  });

  it('takes no memory for values that it announces and does not have', () => {
    const before = process.memoryUsage().arrayBuffers;
    const tensor = tensorOf(input([1, 7000, 7000, 3], 'FP32'), 1e8);
    expect(() => bytesOfValues([1], tensor)).toThrow('the data has 1 values; its shape has 147000000');
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1e8);
  });
});
