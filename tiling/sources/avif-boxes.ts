import { CorruptImageError } from '../errors.js';
import { type Bytes, fileBytes } from './bytes.js';

/** Boxes that contain others, and how many bytes precede these. */
const CONTAINERS: Record<string, number> = { meta: 4, iprp: 0, ipco: 0 };
const MAX_BOXES = 1024;

/**
 * Checks that the boxes of an AVIF are nested properly (ISO/IEC 14496-12, 4.2), which libheif does not.
 * @throws CorruptImageError for a box that extends beyond the box, or the file, that contains it
 */
export async function checkBoxes(path: string): Promise<void> {
  const bytes = await fileBytes(path);
  try {
    await walk(bytes, 0, bytes.length, { boxes: MAX_BOXES }, true);
  } finally {
    await bytes.close();
  }
}

async function walk(bytes: Bytes, start: number, end: number, budget: { boxes: number }, isTop = false) {
  for (let at = start; at < end; ) {
    if (budget.boxes-- === 0) throw new CorruptImageError(`the AVIF has more than ${MAX_BOXES} boxes`);
    const head = await bytes.read(at, Math.min(16, end - at));
    const small = head.length < 8 ? 0 : head.readUInt32BE(0);
    const isLarge = small === 1 && head.length === 16;
    // 0 stands for the rest of the file, in its last box.
    const length = small === 0 && isTop ? end - at : isLarge ? Number(head.readBigUInt64BE(8)) : small;
    const headLength = isLarge ? 16 : 8;
    if (head.length < 8 || length < headLength || at + length > end) {
      throw new CorruptImageError(
        `the AVIF is damaged: a box at ${at} claims ${length} bytes of ${end - at}`,
      );
    }
    const before = CONTAINERS[head.toString('latin1', 4, 8)];
    if (before !== undefined) await walk(bytes, at + headLength + before, at + length, budget);
    at += length;
  }
}
