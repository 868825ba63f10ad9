import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { residentBytes } from '../server.js';

const POLL_MS = 25;
/** Twice what the slowest rival takes: one that hangs is terminated. */
const TIMEOUT_MS = 240_000;

/** A process that did not end in time. */
export class HungProcessError extends Error {}

/** A whole process, from its start to its exit. */
export interface Run {
  readonly seconds: number;
  /** The largest resident memory of the process and its children; pages that they share count for each. */
  readonly peakMb: number;
  readonly stdout: string;
}

/** @throws HungProcessError; Error with the end of what the process wrote to stderr, if it fails */
export async function runProcess(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Run> {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    timeout: TIMEOUT_MS,
  });
  const started = performance.now();
  const exited = once(child, 'exit');
  const outputs = Promise.all([text(child.stdout), text(child.stderr)]);
  const memory = watchMemory(child.pid ?? 0);
  try {
    const [code, signal] = await exited;
    const seconds = (performance.now() - started) / 1000;
    const [stdout, stderr] = await outputs;
    if (signal === 'SIGTERM') throw new HungProcessError(`${command} did not end in ${TIMEOUT_MS / 1000} s`);
    if (code !== 0) {
      const reason = stderr.trim().split('\n').at(-1);
      throw new Error(`${command} ended with ${signal ?? `code ${code}`}: ${reason}`);
    }
    return { seconds, peakMb: memory.peakMb(), stdout };
  } finally {
    memory.stop();
  }
}

/** Polls the resident memory of a process and its children, until it is stopped. */
export function watchMemory(pid: number): { readonly peakMb: () => number; readonly stop: () => void } {
  let peak = 0;
  const timer = setInterval(async () => {
    peak = Math.max(peak, await residentBytes(pid));
  }, POLL_MS);
  return { peakMb: () => Math.round(peak / 1e6), stop: () => clearInterval(timer) };
}
