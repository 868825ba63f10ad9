import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openDataset } from '../../../../server/training/data/dataset.js';
import { testFolder } from '../../../support/files.js';
import { pattern } from '../../../support/rasters.js';
import { writeTestTiff } from '../../../support/tiff.js';

const folder = await testFolder();

it('the memory of a data set is computed from its pixel types', async () => {
  const [images, labels] = [join(folder, 'images'), join(folder, 'labels')];
  for (const path of [images, labels]) await mkdir(path);
  const [width, height] = [30, 20];
  const gray = pattern(width, height);
  await writeTestTiff(join(images, 'a.tif'), gray, { compression: 1 });
  const floats = { ...gray, data: Float32Array.from(gray.data, (value) => value % 2) };
  await writeTestTiff(join(labels, 'a.tif'), floats, { compression: 1, format: 3, bits: 32 });
  const dataset = await openDataset(
    {
      images,
      labels,
      classes: 2,
      ignore: null,
      legend: null,
      labelBorder: 'reflect',
      inputChannels: 1,
      range: 'type',
    },
    { scratchDir: folder, maxPixels: 1e6 },
  );
  expect(dataset.heldBytes).toBe(width * height * (1 + 4));
  await dataset.close();
});

it('a NaN is refused before training, with the name of its image', async () => {
  const paths = { images: join(folder, 'torn-images'), labels: join(folder, 'torn-labels') };
  for (const path of Object.values(paths)) await mkdir(path);
  const [width, height] = [30, 20];
  const data = Float32Array.from({ length: width * height }, (_, at) => at);
  data[500] = Number.NaN;
  const image = { width, height, channels: 1 };
  await writeTestTiff(
    join(paths.images, 'b.tif'),
    { ...image, data },
    { compression: 1, format: 3, bits: 32 },
  );
  const labels = Uint8Array.from(data, (_, at) => at % 2);
  await writeTestTiff(join(paths.labels, 'b.tif'), { ...image, data: labels }, { compression: 1 });
  const rules = { classes: 2, ignore: null, legend: null, labelBorder: 'reflect', inputChannels: 1 } as const;
  const opened = openDataset({ ...paths, ...rules, range: 'auto' }, { scratchDir: folder, maxPixels: 1e6 });
  await expect(opened).rejects.toThrow(/image b has the value NaN/);
});
