import { statfs } from 'node:fs/promises';

/** Space that jobs and uploads should leave free on a disk; of a small one, a share instead. */
const LOW_WATER_BYTES = 256 * 2 ** 20;
const LOW_WATER_SHARE = 0.05;

/** The space of a disk, in bytes. */
export interface DiskSpace {
  readonly size: number;
  /** What this process may still write. */
  readonly free: number;
  /** The disk counts as full while less is free. */
  readonly lowWater: number;
}

/** The space of the disk that a folder lies on. */
export async function diskSpace(folder: string): Promise<DiskSpace> {
  const { bavail, blocks, bsize } = await statfs(folder);
  const size = blocks * bsize;
  return { size, free: bavail * bsize, lowWater: Math.min(LOW_WATER_BYTES, LOW_WATER_SHARE * size) };
}
