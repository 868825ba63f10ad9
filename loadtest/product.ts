import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
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
export async function startServer(data: string): Promise<Server> {
  const child = spawn(process.execPath, [BIN, 'serve', '--port', '0', '--data', data, '--no-cache'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
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

/** A synthetic square image as a PNG file. */
export async function makeImage(dir: string, side: number): Promise<Buffer> {
  const out = join(dir, `samples-${side}`);
  await run(process.execPath, [BIN, 'samples', '-o', out, '-k', 'shapes', '-s', String(side), '--seed', '1']);
  return readFile(join(out, 'images', 'shapes-0001.png'));
}

/** The PNG mask that `unseam segment` makes in one pass over the whole image. */
export async function wholeMask(dir: string, image: Buffer, model: string): Promise<Buffer> {
  const input = join(dir, 'image.png');
  const result = join(dir, 'whole.png');
  await writeFile(input, image);
  await run(process.execPath, [
    BIN,
    'segment',
    input,
    '-o',
    result,
    '--model',
    model,
    '--tile',
    'whole',
    '--scratch',
    dir,
  ]);
  return readFile(result);
}
