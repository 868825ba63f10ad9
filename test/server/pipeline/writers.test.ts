import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { cardSchema } from '../../../model/shelf/card.js';
import {
  bytesPerPixel,
  formatsOf,
  isFinishedOutput,
  isStreamed,
  maskOf,
  OUTPUTS,
} from '../../../server/contract/outputs.js';
import { derive } from '../../../server/pipeline/derive.js';
import { openResults } from '../../../server/pipeline/writers.js';
import { COLUMN_BLOCK_PX } from '../../../tiling/plan.js';
import { memorySource } from '../../../tiling/sources/memory.js';
import { testFolder } from '../../support/files.js';
import { MODELS } from '../../support/product.js';
import { pattern } from '../../support/rasters.js';
import { maskSinkContract } from '../../tiling/sinks/contract.js';

const card = cardSchema.parse(JSON.parse(await readFile(join(MODELS, 'shapes', '1', 'card.json'), 'utf8')));

/** Every output that is written while its mask is computed, in each of its formats. */
for (const output of OUTPUTS.filter((name) => !isFinishedOutput(name))) {
  for (const format of formatsOf(output)) {
    maskSinkContract(`${output} as ${format}`, {
      open: (path, { width, height }) =>
        openResults([{ output, format, path }], {
          source: memorySource(pattern(width, height, 3)),
          stack: null,
          card,
          onWait: undefined,
          signal: new AbortController().signal,
        }),
      floats: maskOf(output) === 'probabilities' ? card.classes.length : undefined,
      wholeRows: !isStreamed(output, COLUMN_BLOCK_PX + 1),
    });
  }
}

const folder = await testFolder();
const all = OUTPUTS.flatMap((output) => formatsOf(output).map((format) => ({ output, format })));

it.each(all.filter(({ output }) => maskOf(output) === 'labels'))(
  'derives $output as $format from a finished mask, within its size estimate',
  async ({ output, format }) => {
    const [width, height] = [600, 500];
    const path = join(folder, `${output}.${format}`);
    // Noise is the worst case for the compression of labels.
    const labels = Uint8Array.from({ length: width * height }, (_, i) => ((i * 2654435761) >>> 13) % 3);
    const mask = memorySource({ data: labels, width, height, channels: 1 });
    const source = memorySource(pattern(width, height, 3));
    const { signal } = new AbortController();
    await derive([{ output, format, path }], {
      mask,
      masks: null,
      source,
      stack: null,
      card,
      signal,
      onWait: undefined,
    });
    const { size } = await stat(path);
    expect(size).toBeGreaterThan(20);
    const expected = bytesPerPixel({ output, format }, card.classes.length) * width * height;
    if (expected > 0) expect(size).toBeLessThan(expected + 16_384); // header, directories and metadata
  },
);
