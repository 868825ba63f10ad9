import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readState, type TrainerState, writeState } from '../../../model/train/state.js';
import { testFolder } from '../../support/files.js';
import { mountSmallDisk, unmount } from '../../support/small-disk.js';

const disk = join(await testFolder(), 'disk');
const mounted = mountSmallDisk(disk, 256);
/** A state of the given size in KB. */
const stateOf = (kilobytes: number): TrainerState => ({
  steps: 1,
  batches: 1,
  arrays: [new Float32Array(128 * kilobytes).fill(0.5), new Float32Array(128 * kilobytes).fill(2)],
});

describe.skipIf(!mounted)('a training state that does not fit on the disk', () => {
  afterAll(() => unmount(disk));

  it('is an error, and leaves the previous state intact', async () => {
    const path = join(disk, 'state');
    await writeState(path, stateOf(60), { epoch: 1 });
    const failed = await writeState(path, stateOf(800), { epoch: 2 }).catch(
      (error: { code: string }) => error,
    );
    expect(failed).toMatchObject({ code: 'ENOSPC' });
    expect(await readState(path)).toMatchObject({ extra: { epoch: 1 } });
    expect(await readdir(disk)).toEqual(['state']);
  });
});
