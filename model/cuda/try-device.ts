import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { cudaFailure } from './failure.js';

/** The first convolution after a set-up loads a gigabyte from the disk, and may compile kernels. */
const LIMIT_MS = 180_000;

/**
 * Tries a convolution on the first device, in a process of its own, for a broken driver may end it.
 *
 * @param folder of the set-up
 * @returns null where it works; otherwise what is wrong, in a sentence
 */
export async function tryCuda(folder: string): Promise<string | null> {
  const child = fork(fileURLToPath(new URL('./try-process.js', import.meta.url)), [folder], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  let log = '';
  let answer: string | null | undefined;
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (log += text));
  child.on('message', (message: string | null) => (answer = message));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  if (answer === undefined)
    return `the device ended the process that tried it (${signal ?? `exit code ${code}`})`;
  if (answer === null) return null;
  return cudaFailure(`${log}\n${answer}`) ?? /CUD(A|NN) failure [^;]*[^; ]/.exec(answer)?.[0] ?? answer;
}
