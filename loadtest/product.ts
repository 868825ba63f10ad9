import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** The command line that users run, here in child processes. */
const BIN = fileURLToPath(new URL('../server/bin.js', import.meta.url));
const run = promisify(execFile);

/** A running server; `stop` ends it and waits for its exit. */
export interface Server {
  readonly url: string;
  readonly stop: () => Promise<void>;
}

/** Starts `unseam serve` on a free port, so that it computes every request. */
export async function startServer(data: string, args: readonly string[]): Promise<Server> {
  const child = spawn(
    process.execPath,
    [BIN, 'serve', '--port', '0', '--data', data, '--no-cache', '--log-level', 'info', ...args],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const exited = once(child, 'exit');
  process.once('exit', () => child.kill('SIGTERM'));
  const stop = async () => {
    child.kill('SIGTERM');
    await exited;
  };
  for await (const line of createInterface({ input: child.stdout })) {
    const { msg, url } = JSON.parse(line) as { msg: string; url: string };
    if (msg !== 'listening') continue;
    child.stdout.resume();
    return { url, stop };
  }
  throw new Error(`unseam serve exited with code ${child.exitCode}`);
}

/** Runs a command of `unseam`; rejects with its message if it fails. */
export async function unseam(...args: string[]): Promise<void> {
  await run(process.execPath, [BIN, ...args], { maxBuffer: 64 << 20 });
}
