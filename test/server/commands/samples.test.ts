import { join } from 'node:path';
import { Command } from 'commander';
import { expect, it } from 'vitest';
import { samplesCommand } from '../../../server/commands/samples.js';
import { openImage } from '../../../tiling/sources/open.js';
import { testFolder } from '../../support/files.js';

const folder = await testFolder();

it('overviews of labels hold the majority class, never a mean of two classes', async () => {
  const program = new Command();
  const quiet = { signal: new AbortController().signal, stdout: () => {}, stderr: () => {} };
  samplesCommand(program, quiet);
  await program.parseAsync(['samples', '-o', folder, '-s', '600', '-f', 'tiff'], { from: 'user' });
  const open = { scratchDir: folder, maxPixels: 1e6, values: 'stored' } as const;
  const labels = await openImage(join(folder, 'labels', 'shapes-0001.tif'), open);
  const all = await labels.readRegion({ x: 0, y: 0, width: 600, height: 600 });
  const half = await labels.overviews[0]!.readRegion({ x: 0, y: 0, width: 300, height: 300 });
  await labels.close();
  const strangers = Array.from(half.data).reduce((count, value, at) => {
    const from = 2 * Math.floor(at / 300) * 600 + 2 * (at % 300);
    const four = [0, 1, 600, 601].map((step) => all.data[from + step]!);
    return count + (four.includes(value) ? 0 : 1);
  }, 0);
  expect(strangers).toBe(0);
});
