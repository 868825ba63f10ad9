import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { runCli } from '../../server/cli.js';
import { DEFAULTS } from '../../server/config.js';
import { startServer } from '../../server/serve.js';
import type { ServeOptions } from '../../server/serve-options.js';
import { testFolder } from './files.js';

const BIN = fileURLToPath(new URL('../../server/bin.js', import.meta.url));
export const MODELS = fileURLToPath(new URL('../../../models', import.meta.url));

/** What commands have measured of this machine: for the tests of one file. */
const CACHE_DIR = join(await testFolder(), 'cache');

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** Called with the process once it is spawned. */
  readonly started?: (child: ChildProcess) => void;
  /** Environment variables beside those of the test. Default none. */
  readonly env?: NodeJS.ProcessEnv;
  /** Timeout after which the process is killed; default: none. */
  readonly timeoutMs?: number;
}

/** Runs the command line like a user, in a separate process. */
export async function unseam(
  args: readonly string[],
  { started, env, timeoutMs }: CommandOptions = {},
): Promise<CommandResult> {
  const child = spawn(process.execPath, [BIN, ...args], {
    env: { ...process.env, UNSEAM_CACHE_DIR: CACHE_DIR, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => (output.stdout += chunk));
  child.stderr.on('data', (chunk) => (output.stderr += chunk));
  started?.(child);
  const [code] = (await once(child, 'close')) as [number];
  return { code, ...output };
}

/**
 * Runs the command line in the process of the test: for what it refuses, prints or reads, in a tenth of the time of a
 * process. What it installs for signals, threads and exits is `unseam`'s to show.
 */
export async function unseamHere(args: readonly string[]): Promise<CommandResult> {
  const output = { stdout: '', stderr: '' };
  const { signal } = new AbortController();
  process.env.UNSEAM_CACHE_DIR = CACHE_DIR;
  process.exitCode = 0;
  try {
    await runCli(
      {
        signal,
        stdout: (line) => void (output.stdout += `${line}\n`),
        stderr: (line) => void (output.stderr += `${line}\n`),
      },
      args,
    );
    return { code: process.exitCode, ...output };
  } finally {
    process.exitCode = 0;
  }
}

/** Everything is computed: tests send the same images again and again. Tests of a cache set its options. */
export const NO_CACHES = {
  tileCacheBytes: 0,
  responseCacheBytes: 0,
  reusesResults: false,
} as const satisfies Partial<ServeOptions>;

/** A real server with its worker process, on a free port. */
export function testServer(data: string, options: Partial<ServeOptions> = {}) {
  return startServer({
    ...DEFAULTS,
    ...NO_CACHES,
    port: 0,
    data,
    engine: { provider: 'cpu', threads: 2 },
    log: pino({ level: 'silent' }),
    ...options,
  });
}

/**
 * Starts the server as a separate process, to be killed; resolves when it listens.
 * @param onOutput called with what it prints. Default: its errors are those of the test
 */
export async function serverProcess(
  data: string,
  args: readonly string[] = [],
  {
    env = {},
    onOutput,
  }: { readonly env?: NodeJS.ProcessEnv; readonly onOutput?: (text: string) => void } = {},
) {
  const child = spawn(
    process.execPath,
    [BIN, 'serve', '--port', '0', '--data', data, '--threads', '2', '--no-cache', ...args],
    {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', onOutput ? 'pipe' : 'inherit'],
    },
  );
  const exit = once(child, 'exit').then(([code]) => code as number | null);
  child.stderr?.on('data', (chunk) => onOutput?.(String(chunk)));
  const url = await new Promise<string>((resolve, reject) => {
    let log = '';
    child.stdout!.on('data', (chunk) => {
      log += chunk;
      onOutput?.(String(chunk));
      const found = /"url":"([^"]+)"/.exec(log)?.[1];
      if (found) resolve(found);
    });
    void exit.then((code) => reject(new Error(`the server ended with ${code}: ${log}`)));
  });
  return { process: child, exit, url };
}
