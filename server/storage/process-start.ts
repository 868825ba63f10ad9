import { readFile } from 'node:fs/promises';

/**
 * When a process was started, in words that no later process of the same number shares; null where
 * there is none. Of a system without /proc it is only told whether there is one.
 */
export async function startTimeOf(pid: number): Promise<string | null> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return null;
  }
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // Behind the name, which may hold anything but ends with the last bracket: field 22 is the start time.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? 'alive';
}
