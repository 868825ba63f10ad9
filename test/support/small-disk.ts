import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';

/** Mounts a disk of the given size in KB as a new folder; false if the system does not permit this. */
export function mountSmallDisk(folder: string, kilobytes: number): boolean {
  mkdirSync(folder);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kilobytes}k`, 'tmpfs', folder], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

export const unmount = (folder: string): void => void execFileSync('umount', [folder]);
