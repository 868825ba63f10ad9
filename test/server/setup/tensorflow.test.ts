import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { PipRun } from '../../../server/setup/pip.js';
import { setUpTensorFlow } from '../../../server/setup/tensorflow.js';
import { writeFakePip } from '../../support/fake-pip.js';
import { testFolder } from '../../support/files.js';

const root = await testFolder();
let count = 0;
afterEach(() => vi.unstubAllEnvs());

/** Shell commands of the tools that the set-up calls, in a world where all of them work; null for one that is missing. */
const TOOLS = {
  make: '',
  'g++': '',
  tar: 'exec /usr/bin/tar "$@"',
  npm: `if [ "$1" = run ]; then
  cd node_modules/@tensorflow/tfjs-node && mkdir -p lib/napi-v8 build && echo broken > lib/napi-v8/tfjs_binding.node
  exit
fi
mkdir package && echo '{"name":"'$2'","version":"1.0.0"}' > package/package.json
tar -czf archive.tgz package && rm -r package && echo '[{"filename": "archive.tgz"}]'`,
};
const WHEEL =
  'cd "$target" && mkdir -p tensorflow/include && touch tensorflow/libtensorflow_cc.so.2 tensorflow/libtensorflow_framework.so.2';

/** Has this process find these tools, and no others. */
async function use(tools: Partial<Record<keyof typeof TOOLS, string | null>>, pip = WHEEL): Promise<void> {
  const folder = join(root, String(count++));
  await writeFakePip(folder, pip);
  for (const [name, commands] of Object.entries({ ...TOOLS, ...tools })) {
    if (commands === null) continue;
    await writeFile(join(folder, name), `#!/bin/sh\nPATH=/usr/bin:/bin\n${commands}\n`, { mode: 0o755 });
  }
  vi.stubEnv('PATH', folder);
}

const run: PipRun = { signal: new AbortController().signal, onProgress: () => undefined };
/** Sets up in a new folder, which must stay empty. */
async function failure(request = run): Promise<unknown> {
  const parent = join(root, String(count++));
  const error = await setUpTensorFlow(join(parent, 'tensorflow'), request).catch((e) => e);
  expect(await readdir(parent).catch(() => [])).toEqual([]);
  return error;
}

describe('the set-up of TensorFlow says what is missing, and leaves nothing behind', () => {
  const offline = "echo 'npm error code ENOTFOUND' >&2; exit 1";
  const failed = (commands: string) => TOOLS.npm.replace(/cd node_modules[^\n]*/, commands);

  it.each<[string, Parameters<typeof use>, RegExp]>([
    ['make', [{ make: null }], /make is missing; install it, such as with: apt-get install/],
    ['a compiler', [{ 'g++': null }], /a C\+\+ compiler \(g\+\+\) is missing/],
    ['npm', [{ npm: null }], /downloads with npm, which cannot be run .*; install Node with npm/],
    ['tar', [{ tar: null }], /unpacks with tar, which cannot be run/],
    ['the registry', [{ npm: offline }], /npm does not reach its registry; check the network/],
    ['the package', [{ npm: 'echo "npm error 404 Not Found"; exit 1' }], /npm failed to download .*: .*404/],
    [
      'the package index',
      [{}, "echo 'NewConnectionError: refused'; exit 1"],
      /pip does not reach Python's package index/,
    ],
    ['a library of the wheel', [{}, 'mkdir "$target/tensorflow"'], /lacks libtensorflow_cc\.so\.2/],
    ['node-gyp', [{ npm: failed('echo "sh: node-gyp: not found"; exit 127') }], /this npm has no node-gyp/],
    [
      "Node's headers",
      [{ npm: failed('echo "request to https://nodejs.org/download failed"; exit 1') }],
      /cannot download Node's headers; .* npm_config_nodedir/,
    ],
    [
      'a header',
      [{ npm: failed('echo "backend.cc:1: fatal error: c_api.h: No such file"; exit 1') }],
      /the addon cannot be built: .* c_api\.h: No such file/,
    ],
    ['a binary that loads', [{}], /the addon was built, but cannot be loaded: Error: .*tfjs_binding\.node/],
  ])('%s', async (_name, world, message) => {
    await use(...world);
    expect(await failure()).toMatchObject({ code: 'setup-failed', message: expect.stringMatching(message) });
  });

  it('pip', async () => {
    await use({}, '');
    await writeFile(join(process.env.PATH!, 'python3'), '#!/bin/sh\n[ "$1" = --version ]\n', { mode: 0o755 });
    expect(await failure()).toMatchObject({
      message: expect.stringMatching(/with pip, of which there is none/),
    });
  });

  it('room on the disk', async () => {
    await use({ npm: "echo 'npm error code ENOSPC'; exit 1" });
    expect(await failure()).toMatchObject({
      code: 'disk-full',
      message: expect.not.stringContaining('.partial'),
    });
  });
});

it('is cancelled at once, with all that it has started', async () => {
  await use({}, "echo ' Downloading a/tensorflow.whl (572 MB)'; sleep 60 & wait");
  const controller = new AbortController();
  const onProgress = (line: string) => {
    if (line.includes('.whl')) controller.abort(new Error('interrupted'));
  };
  expect(await failure({ signal: controller.signal, onProgress })).toMatchObject({ message: 'interrupted' });
});

it('replaces no folder that is not of a set-up', async () => {
  await use({});
  const folder = join(root, String(count++));
  await mkdir(folder);
  await writeFile(join(folder, 'thesis.tex'), '');
  await expect(setUpTensorFlow(folder, run)).rejects.toMatchObject({ code: 'conflict' });
});
