/**
 * Decodes PackBits (TIFF 6.0, section 9): runs of a repeated byte, and runs of bytes as they stand.
 * @throws Error where the runs end before `length` bytes
 */
export function decodePackBits(stored: Uint8Array, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (let i = 0; at < length; ) {
    if (i + 1 >= stored.length) throw new Error(`PackBits ends after ${at} of ${length} bytes`);
    const head = stored[i++]!;
    if (head < 128) {
      const run = stored.subarray(i, i + head + 1);
      bytes.set(run.subarray(0, length - at), at);
      at += run.length;
      i += head + 1;
    } else if (head > 128) {
      bytes.fill(stored[i++]!, at, at + 257 - head);
      at += 257 - head;
    }
  }
  return bytes;
}
