import { cp, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Segmenter } from '../../../server/pipeline/segmenter.js';
import type { ImageChoice } from '../../../tiling/sources/options.js';
import { testFolder } from '../../support/files.js';
import { MODELS, unseam } from '../../support/product.js';
import { pattern } from '../../support/rasters.js';
import { plainJob, startSegmenter } from '../../support/segmenters.js';
import { writeTestTiff } from '../../support/tiff.js';

const folder = await testFolder();
const dim = pattern(150, 130); // values of 8 bits
const size = { width: dim.width, height: dim.height };

/** The same values as a 16-bit image: its maximum is 255 of 65535. */
async function writeDim(path: string): Promise<string> {
  const picture = sharp(Uint16Array.from(dim.data), { raw: { ...size, channels: 1 } });
  await picture.toColourspace('grey16').png().toFile(path);
  return path;
}
const segmenterOf = (modelsDir: string) =>
  startSegmenter({ modelsDir, engine: { provider: 'cpu', threads: 1 } }, { maxPixels: 1e6 });
const run = (segmenter: Segmenter, input: string, out: string, choice: ImageChoice = {}) =>
  segmenter.run(
    plainJob({
      id: out,
      input,
      model: undefined,
      choice,
      scratchDir: folder,
      results: [{ output: 'labels', format: 'png', path: mask(out) }],
    }),
  );
const mask = (name: string) => join(folder, `${name}.png`);
const bytesOf = (name: string) => readFile(mask(name));

describe('intensities that fill less than a tenth of their range', () => {
  it('cause a warning with the suggested range, with which results equal those of 8 bits', async () => {
    const input = await writeDim(join(folder, 'dim.png'));
    const models = join(folder, 'shapes-alone');
    await cp(join(MODELS, 'shapes'), join(models, 'shapes'), { recursive: true });
    const { segmenter: shapes, close } = await segmenterOf(models);
    onTestFinished(close);
    expect(await run(shapes, input, 'empty')).toMatchObject({
      warnings: [
        expect.stringMatching(
          /^values reach from \d+ to 2\d\d in a range of 0 to 65535, .*: set range \(--range\) to 0,2\d\d$/,
        ),
      ],
      range: [0, 65535],
    });
    expect(await run(shapes, input, 'given', { range: [0, 255] })).toMatchObject({
      warnings: [],
      normalisation: 'range',
      range: [0, 255],
    });

    // Signed bytes use the range of their type: -128 is black.
    const signed = join(folder, 'signed.tif');
    const data = Array.from(dim.data, (value) => value - 128);
    await writeTestTiff(signed, { ...dim, data }, { compression: 1, bits: 8, format: 2 });
    expect(await run(shapes, signed, 'signed')).toMatchObject({ warnings: [], range: [-128, 127] });
    expect((await bytesOf('signed')).equals(await bytesOf('given'))).toBe(true);
  });
});

describe('unseam train --range auto', () => {
  it('stores the range of the data set in the card, and segmentation applies it', async () => {
    const [images, labels] = [join(folder, 'images'), join(folder, 'labels')];
    await Promise.all([mkdir(images), mkdir(labels)]);
    const truth = Uint8Array.from(dim.data, (value) => (value > 128 ? 1 : 0));
    for (const name of ['a.png', 'b.png']) {
      await writeDim(join(images, name));
      await sharp(truth, { raw: { ...size, channels: 1 } })
        .toColourspace('b-w')
        .png()
        .toFile(join(labels, name));
    }
    const models = ['--models', join(folder, 'models'), '--scratch', folder];
    const data = ['--images', images, '--labels', labels];
    const small = ['--channels', '2,4', '--tile', '70', '--epochs', '1', '--epoch-steps', '1'];
    const trained = await unseam([
      ...['train', '--name', 'dim', ...models, ...data, '--classes', 'dark,bright', ...small],
      ...['--range', 'auto'],
    ]);
    expect(trained).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/black is \d+, white is 2\d\d \(uint16\)/),
    });
    const { normalisation } = JSON.parse(await readFile(join(folder, 'models/dim/1/card.json'), 'utf8'));
    expect(normalisation).toMatchObject({ range: [expect.any(Number), expect.any(Number)], type: 'uint16' });

    const { segmenter: own, close } = await segmenterOf(join(folder, 'models'));
    onTestFinished(close);
    expect(await run(own, join(images, 'a.png'), 'own')).toMatchObject({
      warnings: [],
      normalisation: 'range',
      range: normalisation.range,
    });
    // No range is applied to values of another type.
    const bytes = join(folder, 'input-8.png');
    await sharp(dim.data, { raw: { ...size, channels: 1 } })
      .toColourspace('b-w')
      .png()
      .toFile(bytes);
    expect(await run(own, bytes, 'bytes')).toMatchObject({
      warnings: [
        expect.stringMatching(/^the model was trained on uint16 values, .*; this image holds uint8/),
      ],
      normalisation: 'type-range',
      range: [0, 255],
    });
    const chosen = await run(own, bytes, 'chosen', { range: [0, 200] });
    expect(chosen).toMatchObject({ warnings: [], range: [0, 200] });
  });
});
