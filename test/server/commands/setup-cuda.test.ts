import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, readlink, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { manifestSchema } from '../../../model/cuda/manifest.js';
import { onnxRuntimeCommit, onnxRuntimeFolder } from '../../../model/devices/onnx-package.js';
import { copyInstallation, layDownCuda } from '../../support/fake-cuda.js';
import { writeFakePip } from '../../support/fake-pip.js';
import { testFolder } from '../../support/files.js';

const folder = await testFolder();
const program = join(folder, 'program');
let bin = '';
let libraries = '';
let commit = '';

/** `unseam setup cuda` with a fake pip; without `install`, with none. */
async function setUp(cache: string, install?: string) {
  const path = join(folder, 'path');
  await rm(path, { recursive: true, force: true });
  await mkdir(path);
  if (install !== undefined) await writeFakePip(path, install);
  const args = [bin, 'setup', 'cuda', '--cache-dir', cache];
  return new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, args, { env: { PATH: path } }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    );
  });
}

describe.skipIf(`${process.platform} ${process.arch}` !== 'linux x64')('unseam setup cuda', () => {
  beforeAll(async () => {
    ({ bin, libraries } = await copyInstallation(program));
    commit = (await onnxRuntimeCommit(onnxRuntimeFolder())) ?? '';
    expect(commit).toMatch(/^[0-9a-f]{7,}$/);
  });

  it('lays the libraries down, links the provider, and says what came of trying the device', async () => {
    const cache = join(folder, 'cache');
    const result = await setUp(cache, layDownCuda(commit));
    expect(result).toMatchObject({ code: 0, stderr: '' });
    const [first, second] = result.stdout.split('\n');
    expect(first).toBe(`CUDA is set up in ${join(cache, 'cuda')}`);
    expect(second).toMatch(/^no GPU can be used yet, and --device auto goes on without: /);
    expect(await readdir(cache)).toEqual(['cuda']);
    const manifest = manifestSchema.parse(
      JSON.parse(await readFile(join(cache, 'cuda/manifest.json'), 'utf8')),
    );
    expect(manifest).toMatchObject({
      commit,
      packages: { 'nvidia-cublas': '13.0.2.14', 'onnxruntime-gpu': '1.30.0' },
    });
    expect(manifest.files).toContainEqual({ path: 'nvidia/cu13/lib/libcublasLt.so.13', bytes: 5 });
    expect(await readlink(join(libraries, 'libonnxruntime_providers_cuda.so'))).toBe(
      join(cache, 'cuda/onnxruntime/capi/libonnxruntime_providers_cuda.so'),
    );
  });

  it('downloads nothing the second time, and links again what npm ci removed', async () => {
    const cache = join(folder, 'twice');
    await setUp(cache, layDownCuda(commit));
    const provider = join(libraries, 'libonnxruntime_providers_shared.so');
    await rm(provider);
    const again = await setUp(cache);
    expect(again).toMatchObject({ code: 0, stdout: expect.stringMatching(/^CUDA was set up already in /) });
    expect(await readlink(provider)).toBe(
      join(cache, 'cuda/onnxruntime/capi/libonnxruntime_providers_shared.so'),
    );
  });

  it('replaces a damaged set-up, and keeps it while there is no other', async () => {
    const cache = join(folder, 'damaged');
    await setUp(cache, layDownCuda(commit));
    const library = join(cache, 'cuda/nvidia/cudnn/lib/libcudnn.so.9');
    await truncate(library, 2);
    expect(await setUp(cache)).toMatchObject({
      code: 15,
      stderr: expect.stringMatching(/with pip, of which/),
    });
    expect(await readFile(library, 'utf8')).toBe('fa');
    expect(await setUp(cache, layDownCuda(commit))).toMatchObject({ code: 0 });
    expect(await readFile(library, 'utf8')).toBe('fake\n');
  });

  it('replaces a set-up of other versions', async () => {
    const cache = join(folder, 'older');
    await setUp(cache, layDownCuda(commit));
    const path = join(cache, 'cuda', 'manifest.json');
    const manifest = manifestSchema.parse(JSON.parse(await readFile(path, 'utf8')));
    expect(manifest.requirements).toContain('nvidia-cudnn-cu13==9.28.*');
    await writeFile(path, JSON.stringify({ ...manifest, requirements: ['nvidia-cudnn-cu13==9.27.*'] }));
    expect(await setUp(cache, layDownCuda(commit))).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^CUDA is set up in /),
    });
    expect(manifestSchema.parse(JSON.parse(await readFile(path, 'utf8')))).toEqual(manifest);
  });

  it('refuses libraries of another commit than npm has, and leaves nothing', async () => {
    const cache = join(folder, 'pair');
    const result = await setUp(cache, layDownCuda('0123456ab'));
    expect(result).toMatchObject({ code: 15, stdout: '' });
    expect(result.stderr).toBe(
      `unseam: onnxruntime-gpu 1.30.0 is of ONNX Runtime's commit 0123456ab, but onnxruntime-node of commit ${commit}; ` +
        'install the onnxruntime-node that unseam requires (npm ci)\n',
    );
    expect(await readdir(cache)).toEqual([]);
  });

  it('names a library that the packages lack', async () => {
    const missing = 'nvidia/cudnn/lib/libcudnn.so.9';
    const result = await setUp(join(folder, 'lacking'), layDownCuda(commit, [missing]));
    expect(result).toMatchObject({ code: 15, stderr: expect.stringContaining(`lack ${missing};`) });
  });

  it('refuses a cache folder that cannot be made', async () => {
    const result = await setUp('/proc/cache', layDownCuda(commit));
    expect(result).toMatchObject({ code: 12, stderr: expect.stringMatching(/is not a writable folder/) });
  });

  it('removes no files of others', async () => {
    const cache = join(folder, 'foreign');
    await mkdir(join(cache, 'cuda'), { recursive: true });
    await writeFile(join(cache, 'cuda', 'thesis.txt'), 'chapter 1');
    const result = await setUp(cache, layDownCuda(commit));
    expect(result).toMatchObject({ code: 2, stderr: expect.stringMatching(/holds other files than those/) });
    expect(await readdir(join(cache, 'cuda'))).toEqual(['thesis.txt']);
  });
});
