import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import {
  findTensorFlow,
  MANIFEST,
  readSetUp,
  type SetUp,
  SHARED_PACKAGES,
} from '../../model/tensorflow/installation.js';
import { RequestError } from '../contract/errors.js';
import { createFolder } from '../storage/draft-folder.js';
import { replaceFile } from '../storage/durable.js';
import { buildAddon, placeLibraries, requireBuildTools } from './addon.js';
import { unpackPackages } from './npm.js';
import { installWheels, type PipRun } from './pip.js';
import { requireReplaceable } from './replaceable.js';
import { runTool } from './run-tool.js';
import { sizesOf } from './sizes.js';

const ADDON = '@tensorflow/tfjs-node';
/** What is set up. A folder of other versions is replaced. */
const VERSIONS = { addon: '4.22.0', protobuf: '3.21.4', tensorflow: '2.21.0' } as const;
/** While it is set up: the wheel, and what is in it. */
const DISK_BYTES = 2_600_000_000;
/** The names that the wheels' platforms have for Node's. */
const MACHINES: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' };

/**
 * Builds the addon that binds TensorFlow's library to JavaScript, and tries it. What is complete, and of these versions,
 * stays; another set-up in its place is replaced once its successor is complete.
 *
 * @param folder appears when it is complete
 * @returns whether anything was built
 * @throws RequestError `setup-failed` naming what is missing; `disk-full`; `conflict`; the signal's reason
 */
export async function setUpTensorFlow(folder: string, run: PipRun): Promise<boolean> {
  const machine = MACHINES[arch()];
  if (platform() !== 'linux' || machine === undefined) {
    throw new RequestError(
      'setup-failed',
      `there is no set-up of TensorFlow for ${platform()} on ${arch()}; install ${ADDON} with npm where its own binaries exist`,
    );
  }
  if (await isSetUp(folder, run.signal)) return false;
  await requireReplaceable(folder, MANIFEST);
  await requireBuildTools(run.signal);
  await createFolder(folder, async (draft) => {
    await build(draft, machine, run).catch((error: unknown) => {
      throw named(error, draft, dirname(folder));
    });
    const setUp: SetUp = { form: 1, ...VERSIONS, files: await binariesIn(draft) };
    await replaceFile(join(draft, MANIFEST), `${JSON.stringify(setUp)}\n`);
    await rm(folder, { recursive: true, force: true });
  });
  return true;
}

/** An error whose message names a folder that the user knows, in place of the draft in it. */
function named(error: unknown, draft: string, folder: string): unknown {
  if (!(error instanceof RequestError)) return error;
  const message = error.message.split(draft).join(folder);
  return new RequestError(error.code, message, { cause: error });
}

async function build(draft: string, machine: string, { signal, onProgress }: PipRun): Promise<void> {
  const modules = join(draft, 'node_modules');
  const addon = join(modules, ADDON);
  onProgress(`downloading ${ADDON} ${VERSIONS.addon}`);
  const packages = new Map([
    [addon, `${ADDON}@${VERSIONS.addon}`],
    [join(modules, 'google-protobuf'), `google-protobuf@${VERSIONS.protobuf}`],
  ]);
  await unpackPackages(packages, join(draft, '.npm'), signal);
  await writeStubs(modules);
  const wheel = join(draft, 'wheel');
  onProgress(`downloading TensorFlow ${VERSIONS.tensorflow}`);
  const platforms = [`manylinux_2_27_${machine}`, `manylinux_2_17_${machine}`];
  const requirements = [`tensorflow==${VERSIONS.tensorflow}`];
  const wheels = { requirements, diskBytes: DISK_BYTES, tags: { python: '3.12', platforms } };
  await mkdir(wheel);
  await installWheels(wheels, wheel, { signal, onProgress });
  await placeLibraries(wheel, addon);
  onProgress('building the addon');
  await buildAddon(draft, addon, signal);
  onProgress('trying it');
  await tryAddon(draft, signal);
}

/**
 * Writes packages that the addon's files find: what loads the addon provides ours in their places (`bindTensorFlow`), so
 * that their own, with browsers' backends and the like, are not needed.
 */
async function writeStubs(modules: string): Promise<void> {
  for (const name of SHARED_PACKAGES) {
    const folder = join(modules, name);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'package.json'), JSON.stringify({ name, main: 'index.js' }));
    await writeFile(join(folder, 'index.js'), `throw new Error('unseam provides ${name}');\n`);
  }
}

/** Loads the addon in a process of its own, which it may take down. @throws RequestError `setup-failed` */
async function tryAddon(folder: string, signal: AbortSignal): Promise<void> {
  const found = findTensorFlow(folder);
  if (!found?.folder.startsWith(folder)) throw new RequestError('setup-failed', 'the build left no addon');
  const { binary } = found;
  const script = `console.log('version ' + require(${JSON.stringify(binary)}).TF_Version)`;
  const { code, lines } = await runTool([process.execPath, '-e', script], { signal });
  if (code === 0 && lines.includes(`version ${VERSIONS.tensorflow}`)) return;
  const reason = lines.find((line) => /^Error: /.test(line)) ?? lines.at(-1);
  throw new RequestError(
    'setup-failed',
    code === null
      ? 'the addon was built, but ends when it is loaded; TensorFlow needs a processor with AVX'
      : `the addon was built, but cannot be loaded: ${reason ?? 'no output'}`,
  );
}

/** What would end the process by a fault where it is cut off. */
async function binariesIn(folder: string): Promise<SetUp['files']> {
  const names = await readdir(folder, { recursive: true });
  return sizesOf(folder, names.filter((name) => /\.(node|so(\.\d+)*)$/.test(name)).sort());
}

/** Whether a folder has a set-up of these versions that loads: it may be of another machine, or damaged. */
async function isSetUp(folder: string, signal: AbortSignal): Promise<boolean> {
  try {
    const setUp = readSetUp(folder);
    const expected = setUp && { form: 1, ...VERSIONS, files: await binariesIn(folder) };
    if (!expected || !isDeepStrictEqual(setUp, expected)) return false;
    await tryAddon(folder, signal);
    return true;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}
