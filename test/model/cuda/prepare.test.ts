import { copyFile, mkdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PRELOADED, PROVIDER_LIBRARIES, requireCudaPlatform } from '../../../model/cuda/libraries.js';
import { isCudaSetUp, MANIFEST, type Manifest } from '../../../model/cuda/manifest.js';
import { load } from '../../../model/cuda/preload.js';
import { prepareCuda } from '../../../model/cuda/prepare.js';
import { testFolder } from '../../support/files.js';

const isLinux = `${process.platform} ${process.arch}` === 'linux x64';
const folder = await testFolder();
let count = 0;

/** A set-up of small files, and npm's libraries of a commit. */
async function setUp(npmCommit = 'aaaaaaa') {
  const root = join(folder, String(count++));
  const [cuda, bin] = [join(root, 'cuda'), join(root, 'bin')];
  await mkdir(bin, { recursive: true });
  // The commit lies across the boundary of two pieces that are read.
  const padding = 'x'.repeat((1 << 20) - 20);
  await writeFile(join(bin, 'libonnxruntime.so.1'), `${padding}git-commit-id=${npmCommit}, build`);
  const files = [...PRELOADED, ...PROVIDER_LIBRARIES];
  for (const path of files) {
    await mkdir(dirname(join(cuda, path)), { recursive: true });
    await writeFile(join(cuda, path), 'fake\n');
  }
  const manifest: Manifest = {
    form: 1,
    requirements: [],
    commit: 'aaaaaaa',
    packages: {},
    files: files.map((path) => ({ path, bytes: 5 })),
  };
  await writeFile(join(cuda, MANIFEST), JSON.stringify(manifest));
  const link = join(bin, 'libonnxruntime_providers_cuda.so');
  return { cuda, bin, link, provider: join(cuda, 'onnxruntime/capi/libonnxruntime_providers_cuda.so') };
}

const refusal = (message: RegExp) => ({
  code: 'device-unavailable',
  message: expect.stringMatching(message),
});

describe.skipIf(!isLinux)('prepareCuda', () => {
  it('links the provider beside ONNX Runtime, then loads the driver or says that there is none', async () => {
    const { cuda, bin, link, provider } = await setUp();
    expect(isCudaSetUp(cuda)).toBe(true);
    // Where there is a driver, the fake libraries are what cannot be loaded.
    const expected = refusal(/NVIDIA driver|is not in this container|libcudart.*run: unseam setup cuda/);
    await expect(prepareCuda(cuda, bin)).rejects.toMatchObject(expected);
    expect(await readlink(link)).toBe(provider);
  });

  it('replaces files and links of that name, from several processes at once', async () => {
    const { cuda, bin, link, provider } = await setUp();
    await writeFile(link, 'downloaded by the package itself');
    await symlink('/nowhere', join(bin, 'libonnxruntime_providers_shared.so'));
    await Promise.allSettled([1, 2, 3].map(() => prepareCuda(cuda, bin)));
    expect(await readlink(link)).toBe(provider);
  });

  it('says how to set up what is not', async () => {
    const nowhere = join(folder, 'nowhere', 'cuda');
    expect(isCudaSetUp(nowhere)).toBe(false);
    await expect(prepareCuda(nowhere)).rejects.toMatchObject(
      refusal(/^CUDA is not set up: .*; run: unseam setup cuda --cache-dir \S+\/nowhere$/),
    );
  });

  it('names a library that is missing, or cut off', async () => {
    const { cuda, bin, link } = await setUp();
    const library = join(cuda, 'nvidia/cu13/lib/libcublas.so.13');
    await writeFile(library, 'f');
    const cut = refusal(/is damaged: nvidia\/cu13\/lib\/libcublas\.so\.13 has 1 bytes instead of 5; run: /);
    await expect(prepareCuda(cuda, bin)).rejects.toMatchObject(cut);
    await rm(library);
    await expect(prepareCuda(cuda, bin)).rejects.toMatchObject(
      refusal(/libcublas\.so\.13 is missing; run: /),
    );
    await expect(readlink(link)).rejects.toThrow();
  });

  it.each(['{', '{"form":2}'])('refuses a manifest that it cannot read: %s', async (text) => {
    const { cuda, bin } = await setUp();
    await writeFile(join(cuda, MANIFEST), text);
    await expect(prepareCuda(cuda, bin)).rejects.toMatchObject(
      refusal(/has a damaged manifest\.json; run: /),
    );
  });

  it('refuses libraries of another commit, and names both', async () => {
    const { cuda, bin } = await setUp('bbbbbbb');
    await expect(prepareCuda(cuda, bin)).rejects.toMatchObject(
      refusal(/are of commit aaaaaaa, onnxruntime-node is of commit bbbbbbb; run: unseam setup cuda/),
    );
  });

  it('loads libraries that are no addons, and keeps them', async () => {
    const path = join(folder, 'libkept.so');
    const require = createRequire(import.meta.url);
    await copyFile(require.resolve('onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime.so.1'), path);
    expect(load(path)).toBeNull();
    expect(await readFile('/proc/self/maps', 'utf8')).toContain(path);
    expect(load(join(folder, 'libnone.so'))).toMatch(/cannot open shared object file/);
  });
});

it('CUDA is for Linux on x64 alone', () => {
  requireCudaPlatform({ platform: 'linux', arch: 'x64' });
  expect(() => requireCudaPlatform({ platform: 'darwin', arch: 'arm64' })).toThrow(
    'CUDA needs Linux on x64, and this machine is macOS on arm64',
  );
});
