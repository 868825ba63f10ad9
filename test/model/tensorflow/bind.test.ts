import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { bindTensorFlow } from '../../../model/tensorflow/bind.js';
import { testFolder } from '../../support/files.js';

it('a set-up whose library is cut off is refused before it is loaded, with what mends it', async () => {
  const cache = await testFolder();
  const folder = join(cache, 'tensorflow');
  await mkdir(folder);
  await writeFile(join(folder, 'libtensorflow_cc.so.2'), 'cut');
  const files = [{ path: 'libtensorflow_cc.so.2', bytes: 400 }];
  const names = { folder, name: '@tensorflow/tfjs-node', version: '4.22.0', binary: 'none' };
  await expect(bindTensorFlow({ ...names, setUp: { folder, files } })).rejects.toMatchObject({
    code: 'device-unavailable',
    message: `TensorFlow in ${folder} cannot be loaded: libtensorflow_cc.so.2 has 3 bytes instead of 400; run "unseam setup tensorflow --cache-dir ${cache}" again`,
  });
});
