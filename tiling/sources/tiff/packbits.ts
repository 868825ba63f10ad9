/**
 * Decodes PackBits (TIFF 6.0, section 9): runs of a repeated byte, and runs of literal bytes.
 * @throws Error where they decode to fewer or more than `length` bytes
 */
export function decodePackBits(stored: Uint8Array, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (let i = 0; at < length; ) {
    if (i + 1 >= stored.length) throw new Error(`PackBits ends after ${at} of ${length} bytes`);
    const head = stored[i++]!;
    const run = head < 128 ? head + 1 : head > 128 ? 257 - head : 0;
    if (at + run > length) throw new Error(`PackBits decodes to more than ${length} bytes`);
    if (head < 128) {
      const literal = stored.subarray(i, i + run);
      bytes.set(literal, at);
      at += literal.length;
      i += run;
    } else if (head > 128) {
      bytes.fill(stored[i++]!, at, at + run);
      at += run;
    }
  }
  return bytes;
}
