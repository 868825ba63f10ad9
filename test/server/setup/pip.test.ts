import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { RequestError } from '../../../server/contract/errors.js';
import { installWheels } from '../../../server/setup/pip.js';
import { createFolder } from '../../../server/storage/draft-folder.js';
import { writeFakePip } from '../../support/fake-pip.js';
import { testFolder } from '../../support/files.js';
import { mountSmallDisk, unmount } from '../../support/small-disk.js';

const folder = await testFolder();
let count = 0;
const fresh = async (): Promise<string> => {
  const path = join(folder, String(count++));
  await mkdir(path);
  return path;
};
const signal = new AbortController().signal;
const onProgress = () => undefined;
const NUMPY = { requirements: ['numpy==2.1.*'], diskBytes: 1e6 };

afterEach(() => vi.unstubAllEnvs());

/** Has this process find a fake pip, and no other. */
async function usePip(install: string, name?: 'python3' | 'pip3' | 'pip'): Promise<void> {
  const path = await fresh();
  if (install !== '') await writeFakePip(path, install, name);
  vi.stubEnv('PATH', path);
}

describe('installWheels', () => {
  it.each(['python3', 'pip3', 'pip'] as const)('lays the files down with %s', async (name) => {
    await usePip('echo data > "$target/file"; echo "$arguments" > "$target/arguments"', name);
    const target = await fresh();
    await installWheels(NUMPY, target, { signal, onProgress });
    expect((await readdir(target)).sort()).toEqual(['arguments', 'file']);
    const args = await readFile(join(target, 'arguments'), 'utf8');
    expect(args).toMatch(/^install --target \S+ --no-deps --only-binary=:all: .* numpy==2\.1\.\*\n$/);
  });

  it('says what is downloaded, and keeps downloads on the disk of the folder', async () => {
    await usePip('echo "$TMPDIR" > "$target/where"; echo "  Downloading a/numpy-2.1.3-cp312.whl (16.0 MB)"');
    const target = await fresh();
    const lines: string[] = [];
    await installWheels(NUMPY, target, { signal, onProgress: (line) => lines.push(line) });
    expect(lines).toEqual(['downloading numpy-2.1.3-cp312.whl (16.0 MB)']);
    expect(await readFile(join(target, 'where'), 'utf8')).toBe(`${join(target, '.pip')}\n`);
    expect(await readdir(target)).toEqual(['where']);
  });

  it('takes files for another Python than that of pip', async () => {
    await usePip('echo "$arguments" > "$target/arguments"');
    const target = await fresh();
    const tags = { python: '3.12', platforms: ['manylinux_2_28_x86_64', 'manylinux_2_17_x86_64'] };
    await installWheels({ ...NUMPY, tags }, target, { signal, onProgress });
    expect(await readFile(join(target, 'arguments'), 'utf8')).toContain(
      '--implementation=cp --ignore-requires-python --python-version=3.12 --platform=manylinux_2_28_x86_64 --platform=manylinux_2_17_x86_64',
    );
  });

  it('without a pip says so, and how to get one', async () => {
    await usePip('');
    await expect(installWheels(NUMPY, await fresh(), { signal, onProgress })).rejects.toMatchObject({
      code: 'setup-failed',
      message: expect.stringMatching(/there is none \(tried: python3 -m pip, pip3, pip\); install one/),
    });
  });

  it('starts nothing where the disk has too little space', async () => {
    await usePip('echo data > "$target/file"');
    const target = await fresh();
    await expect(
      installWheels({ ...NUMPY, diskBytes: 1e18 }, target, { signal, onProgress }),
    ).rejects.toMatchObject({ code: 'disk-full', message: expect.stringMatching(/needs 1000000000\.0 GB/) });
    expect(await readdir(target)).toEqual([]);
  });

  it('says that the disk filled up meanwhile', async ({ skip }) => {
    const disk = join(folder, 'small');
    if (!mountSmallDisk(disk, 2000)) return skip('this user cannot mount a disk');
    try {
      // cat writes as pip does, and fails as the system says
      await usePip('cat /dev/zero > "$target/file"');
      const made = createFolder(join(disk, 'made'), (draft) =>
        installWheels(NUMPY, draft, { signal, onProgress }),
      );
      await expect(made).rejects.toMatchObject({
        code: 'disk-full',
        message: expect.stringMatching(/what was written is removed/),
      });
      expect(await readdir(disk)).toEqual([]);
    } finally {
      vi.unstubAllEnvs(); // umount is on the PATH
      unmount(disk);
    }
  });

  it.each([
    [
      "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(...)'\n" +
        'ERROR: No matching distribution found for numpy==2.1.*',
      /^pip does not reach Python's package index; check the network/,
    ],
    [
      'ERROR: Could not find a version that satisfies the requirement\nERROR: No matching distribution found for numpy==2.1.*',
      /^the package index has no numpy==2\.1\.\* that pip 99\.1 can install on this platform/,
    ],
    [
      "ERROR: Wheel 'numpy' located at /draft/numpy-2.1.3.whl is invalid.",
      /^a download was cut off or changed on its way; run the set-up again$/,
    ],
    ['ERROR: the moon is full', /^pip 99\.1 failed with exit status 2: the moon is full$/],
  ])("maps pip's own failure to a sentence: %s", async (output, sentence) => {
    await usePip(`cat >&2 <<'END'\n${output}\nEND\nexit 2`);
    await expect(installWheels(NUMPY, await fresh(), { signal, onProgress })).rejects.toMatchObject({
      code: 'setup-failed',
      message: expect.stringMatching(sentence),
    });
  });

  it('ends pip and what pip has started when it is cancelled, and leaves no draft', async () => {
    await usePip('echo data > "$target/file"; echo "Installing collected packages: numpy"; sleep 600 & wait');
    const stop = new AbortController();
    const parent = await fresh();
    const reason = new RequestError('cancelled', 'stopped by SIGINT');
    const made = createFolder(join(parent, 'made'), (draft) =>
      installWheels(NUMPY, draft, { signal: stop.signal, onProgress: () => stop.abort(reason) }),
    );
    await expect(made).rejects.toBe(reason);
    expect(await readdir(parent)).toEqual([]);
  });
});
