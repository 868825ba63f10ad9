import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { RequestError } from '../contract/errors.js';
import { runTool } from './run-tool.js';

/** The libraries of TensorFlow's wheel, and the names that the addon is linked with. */
const LIBRARIES = new Map([
  ['libtensorflow_cc.so.2', 'libtensorflow.so'],
  ['libtensorflow_framework.so.2', 'libtensorflow_framework.so'],
]);

/** Tools that build the addon, each with what installs it. */
const TOOLS = [
  { command: ['make', '--version'], name: 'make', hint: 'apt-get install build-essential' },
  {
    command: ['g++', '--version'],
    name: 'a C++ compiler (g++)',
    hint: 'apt-get install build-essential',
  },
  { command: ['python3', '--version'], name: 'Python (python3)', hint: 'apt-get install python3' },
] as const;

/** @throws RequestError `setup-failed` naming the tool that is missing; the signal's reason */
export async function requireBuildTools(signal: AbortSignal): Promise<void> {
  for (const { command, name, hint } of TOOLS) {
    const { code } = await runTool(command, { signal });
    if (code === 0) continue;
    throw new RequestError(
      'setup-failed',
      `the set-up builds an addon, for which ${name} is missing; install it, such as with: ${hint}`,
    );
  }
}

/**
 * Moves TensorFlow's libraries and headers to where the addon's build expects them.
 * @param wheel the folder that its wheel was installed into; it is removed
 * @throws RequestError `setup-failed` for a wheel that lacks a library
 */
export async function placeLibraries(wheel: string, addon: string): Promise<void> {
  const from = join(wheel, 'tensorflow');
  const found = await readdir(from).catch(() => [] as string[]);
  const missing = [...LIBRARIES.keys(), 'include'].find((name) => !found.includes(name));
  if (missing !== undefined) {
    throw new RequestError(
      'setup-failed',
      `the wheel of TensorFlow lacks ${missing}; try again, or report it`,
    );
  }
  const libraries = join(addon, 'deps', 'lib');
  await mkdir(libraries, { recursive: true });
  for (const [name, linked] of LIBRARIES) {
    await rename(join(from, name), join(libraries, name));
    await symlink(name, join(libraries, linked));
  }
  await rename(join(from, 'include'), headersOf(addon));
  await rm(wheel, { recursive: true });
}

const headersOf = (addon: string): string => join(addon, 'deps', 'include');

/**
 * Builds the addon with npm's node-gyp, and removes what only the build needs. The binary is for every version of Node
 * that has version 8 of its ABI for addons, as those that unseam runs on have.
 *
 * @param folder of the set-up; it gets a `package.json`, whose script npm runs with its own node-gyp
 * @param addon the folder of its package
 * @throws RequestError `setup-failed`; the signal's reason
 */
export async function buildAddon(folder: string, addon: string, signal: AbortSignal): Promise<void> {
  const prefix = await findHeaders(signal);
  const ownHeaders = prefix === null ? '' : ` --nodedir="${prefix}"`;
  const build = `node-gyp rebuild --module_name=tfjs_binding --module_path="$PWD/lib/napi-v8" --napi_build_version=8${ownHeaders}`;
  const manifest = { private: true, scripts: { addon: `cd ${relative(folder, addon)} && ${build}` } };
  await writeFile(join(folder, 'package.json'), JSON.stringify(manifest));
  const { code, lines } = await runTool(['npm', 'run', 'addon'], { signal, cwd: folder });
  if (code !== 0) throw buildFailure(lines);
  for (const built of [headersOf(addon), join(addon, 'build')]) await rm(built, { recursive: true });
}

/**
 * The prefix of a Node that has its headers beside it: the one that runs, or the one that is found first. Any will do, since
 * the addon uses only what is the same in all of them.
 * @returns null where there is none; node-gyp downloads them
 */
async function findHeaders(signal: AbortSignal): Promise<string | null> {
  const { code, lines } = await runTool(['node', '-p', 'process.execPath'], { signal });
  const found = code === 0 && lines[0] !== undefined ? [lines[0]] : [];
  const prefixes = [process.execPath, ...found].map((path) => dirname(dirname(path)));
  return prefixes.find((prefix) => existsSync(join(prefix, 'include', 'node', 'node_api.h'))) ?? null;
}

const NO_HEADERS = /nodejs\.org|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT/;

function buildFailure(lines: readonly string[]): RequestError {
  const text = lines.join('\n');
  if (/No space left on device|ENOSPC/.test(text)) {
    return new RequestError('disk-full', 'the disk is full; what was written is removed');
  }
  if (/node-gyp: (command )?not found/.test(text)) {
    return new RequestError('setup-failed', 'this npm has no node-gyp; install it: npm install -g node-gyp');
  }
  if (NO_HEADERS.test(text)) {
    return new RequestError(
      'setup-failed',
      "node-gyp cannot download Node's headers; check the network, and for a mirror set npm_config_disturl, or npm_config_nodedir to a folder of Node that has include/node",
    );
  }
  const reason = lines.find((line) => / error: |^make: \*\*\*|gyp ERR! stack/.test(line)) ?? lines.at(-1);
  return new RequestError('setup-failed', `the addon cannot be built: ${reason ?? 'no output'}`);
}
