import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cardSchema } from '../../../model/card.js';
import {
  formatsOf,
  isFinishedOutput,
  isStreamed,
  maskOf,
  OUTPUTS,
} from '../../../server/contract/outputs.js';
import { openResults } from '../../../server/pipeline/writers.js';
import { COLUMN_BLOCK_PX } from '../../../tiling/plan.js';
import { memorySource } from '../../../tiling/sources/memory.js';
import { MODELS } from '../../support/product.js';
import { pattern } from '../../support/rasters.js';
import { maskSinkContract } from '../../tiling/sinks/contract.js';

const card = cardSchema.parse(JSON.parse(await readFile(join(MODELS, 'shapes', '1', 'card.json'), 'utf8')));

/** Every output of the table that is written while its mask is computed, in each of its formats. */
for (const output of OUTPUTS.filter((name) => !isFinishedOutput(name))) {
  for (const format of formatsOf(output)) {
    maskSinkContract(`${output} as ${format}`, {
      open: (path, { width, height }) =>
        openResults([{ output, format, path }], { source: memorySource(pattern(width, height, 3)), card }),
      floats: maskOf(output) === 'probabilities' ? card.classes.length : undefined,
      wholeRows: !isStreamed(output, COLUMN_BLOCK_PX + 1),
    });
  }
}
