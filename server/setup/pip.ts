import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipEnvironment } from '../config.js';
import { formatBytes } from '../contract/byte-size.js';
import { RequestError } from '../contract/errors.js';
import { diskSpace } from '../storage/free-space.js';
import { pipFailure } from './pip-failure.js';
import { runTool, type ToolOutcome } from './run-tool.js';

/** Packages of Python's index that are installed for the libraries in them: no Python runs them. */
export interface Wheels {
  /** Each with its version, such as `nvidia-cublas==13.0.*`. Their own requirements are not installed. */
  readonly requirements: readonly string[];
  /** What they take while they are installed, downloads and files together, in bytes. */
  readonly diskBytes: number;
  /**
   * The Python and the platforms, as wheels name them, that the files are for; so the machine's own Python may be older
   * or newer. Default: the machine's own.
   */
  readonly tags?: { readonly python: string; readonly platforms: readonly string[] };
}

export interface PipRun {
  /** Aborts pip; the caller removes the folder. */
  readonly signal: AbortSignal;
  /** Called with what pip is doing, such as `downloading nvidia_cublas-13.0.2.14-….whl (420.9 MB)`. */
  readonly onProgress: (line: string) => void;
}

/** In this order: the first that works is used. */
const CANDIDATES = [['python3', '-m', 'pip'], ['pip3'], ['pip']] as const;

/**
 * Installs wheels into a folder, with any pip of this machine. Downloads go into that folder, too, so that no other disk
 * fills up, and are removed. Whoever calls it creates the folder as a draft (`createFolder`), which is removed where this
 * rejects, and renamed where it resolves.
 *
 * @param folder exists, and is empty. Messages name its parent, since a draft's name is none that a user knows
 * @throws RequestError `setup-failed` without a pip, a network or such a wheel; `disk-full`; the signal's reason
 */
export async function installWheels(wheels: Wheels, folder: string, run: PipRun): Promise<void> {
  const pip = await findPip(run.signal);
  const { free } = await diskSpace(folder);
  if (free < wheels.diskBytes) {
    throw new RequestError(
      'disk-full',
      `the set-up needs ${formatBytes(wheels.diskBytes)} on the disk of "${dirname(folder)}", which has ${formatBytes(free)} left`,
    );
  }
  const temporary = join(folder, '.pip');
  await mkdir(temporary);
  const args = ['install', '--target', folder, ...FLAGS, ...tagFlags(wheels), ...wheels.requirements];
  const { code, lines } = await runPip(pip.command, args, temporary, run);
  if (code !== 0) throw pipFailure(lines, { pip: pip.version, code, folder });
  await rm(temporary, { recursive: true, force: true });
}

/** No cache: it would take as much again, on another disk. Nothing is compiled: no Python will run it. */
const FLAGS = [
  '--no-deps',
  '--only-binary=:all:',
  '--no-cache-dir',
  '--no-compile',
  '--no-input',
  '--disable-pip-version-check',
  '--progress-bar=off',
] as const;

const tagFlags = ({ tags }: Wheels): readonly string[] =>
  tags === undefined
    ? []
    : [
        '--implementation=cp',
        '--ignore-requires-python', // of the Python that runs pip
        `--python-version=${tags.python}`,
        ...tags.platforms.map((platform) => `--platform=${platform}`),
      ];

interface Pip {
  readonly command: readonly string[];
  readonly version: string;
}

async function findPip(signal: AbortSignal): Promise<Pip> {
  for (const command of CANDIDATES) {
    const quiet = { signal, onProgress: () => undefined };
    const { code, lines } = await runPip(command, ['--version'], null, quiet);
    const version = /^pip (\S+)/m.exec(lines.join('\n'))?.[1];
    if (code === 0 && version !== undefined) return { command, version };
  }
  const tried = CANDIDATES.map((command) => command.join(' ')).join(', ');
  throw new RequestError(
    'setup-failed',
    `the set-up downloads with pip, of which there is none (tried: ${tried}); ` +
      'install one, such as with: apt-get install python3-pip',
  );
}

/** @param temporary for downloads; null where there are none */
function runPip(
  command: readonly string[],
  args: readonly string[],
  temporary: string | null,
  { signal, onProgress }: PipRun,
): Promise<ToolOutcome> {
  return runTool([...command, ...args], {
    signal,
    env: pipEnvironment(temporary),
    onLine: (line) => {
      const progress = progressOf(line);
      if (progress !== null) onProgress(progress);
    },
  });
}

/** What a line of pip's output tells of its progress; null for nothing. */
function progressOf(line: string): string | null {
  const download = /^\s*Downloading (?:\S*\/)?(\S+\.whl) \((.+)\)/.exec(line);
  if (download) return `downloading ${download[1]} (${download[2]})`;
  return /^Installing collected packages/.test(line) ? 'unpacking' : null;
}
