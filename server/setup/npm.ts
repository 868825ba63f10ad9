import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RequestError } from '../contract/errors.js';
import { runTool, type ToolOutcome } from './run-tool.js';

const NO_SPACE = /ENOSPC|No space left on device|Disk quota exceeded/;
const NO_NETWORK =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|FETCH_ERROR|CERT_|SELF_SIGNED/;

/**
 * Unpacks packages of npm's registry, which compares their digests, without what they require, and without running any of
 * their scripts.
 *
 * @param packages by the folders that they are unpacked to, such as `@tensorflow/tfjs-node@4.22.0`
 * @param temporary a folder for the archives; it is removed
 * @throws RequestError `setup-failed` without npm, tar or a network; `disk-full`; the signal's reason
 */
export async function unpackPackages(
  packages: ReadonlyMap<string, string>,
  temporary: string,
  signal: AbortSignal,
): Promise<void> {
  await mkdir(temporary);
  for (const [folder, name] of packages) {
    const pack = ['npm', 'pack', name, '--pack-destination', temporary, '--ignore-scripts', '--json'];
    const packed = await runTool(pack, { signal, cwd: temporary });
    if (packed.code !== 0) throw npmFailure(packed, name, temporary);
    const archive = /"filename":\s*"([^"]+\.tgz)"/.exec(packed.lines.join('\n'))?.[1];
    if (archive === undefined) throw new RequestError('setup-failed', `npm packed no file of ${name}`);
    await mkdir(folder, { recursive: true });
    // npm names the archives of scoped packages with or without their slash, by its version
    const path = join(temporary, archive.replace(/^@/, '').replace('/', '-'));
    const unpacked = await runTool(['tar', '-xzf', path, '-C', folder, '--strip-components=1'], { signal });
    if (unpacked.code !== 0) throw tarFailure(unpacked, temporary);
  }
  await rm(temporary, { recursive: true });
}

function npmFailure({ code, lines }: ToolOutcome, name: string, folder: string): RequestError {
  const text = lines.join('\n');
  if (NO_SPACE.test(text)) return diskFull(dirname(folder));
  if (code === null) {
    return new RequestError(
      'setup-failed',
      `the set-up downloads with npm, which cannot be run (${lines.at(-1)}); install Node with npm, or add it to PATH`,
    );
  }
  if (NO_NETWORK.test(text)) {
    return new RequestError(
      'setup-failed',
      'npm does not reach its registry; check the network, and for a proxy or a mirror set HTTPS_PROXY or npm_config_registry',
    );
  }
  const reason = lines.find((line) => /^npm (ERR!|error) (?!code)/.test(line)) ?? lines.at(-1);
  return new RequestError('setup-failed', `npm failed to download ${name}: ${reason ?? 'no output'}`);
}

function tarFailure({ code, lines }: ToolOutcome, folder: string): RequestError {
  if (NO_SPACE.test(lines.join('\n'))) return diskFull(dirname(folder));
  const reason = lines.at(-1) ?? 'no output';
  if (code !== null) return new RequestError('setup-failed', `tar failed to unpack a package: ${reason}`);
  return new RequestError(
    'setup-failed',
    `the set-up unpacks with tar, which cannot be run (${reason}); install it, such as with: apt-get install tar`,
  );
}

const diskFull = (folder: string): RequestError =>
  new RequestError('disk-full', `the disk of "${folder}" is full; what was written is removed`);
