import { statfs } from 'node:fs/promises';

/** What work should leave of a disk: a twentieth of a small one. */
const LOW_WATER_BYTES = 256 * 2 ** 20;
const LOW_WATER_SHARE = 0.05;

/** Bytes of a folder's disk, those that are free for us, and below how many of them it counts as full. */
export async function roomOf(
  folder: string,
): Promise<{ readonly size: number; readonly free: number; readonly lowWater: number }> {
  const { bavail, blocks, bsize } = await statfs(folder);
  const size = blocks * bsize;
  return { size, free: bavail * bsize, lowWater: Math.min(LOW_WATER_BYTES, LOW_WATER_SHARE * size) };
}
