import { promisify } from 'node:util';
import { inflate } from 'node:zlib';

const inflateAsync = promisify(inflate);

/** zlib's own minimum. */
const MIN_STEP_BYTES = 64;
/** Larger chunks take several steps, so that no memory is taken that a damaged one does not fill. */
const MAX_STEP_BYTES = 1 << 20;

/**
 * Inflates a chunk in one step, into one buffer: zlib's default of 16 KiB would take a turn of the thread pool for each,
 * and then a copy of all. The spare byte tells zlib that nothing more is to come.
 *
 * @param expected bytes that the chunk should hold
 * @throws Error for a chunk that holds more than `most` bytes, or is damaged
 */
export async function inflateChunk(stored: Uint8Array, expected: number, most: number): Promise<Buffer> {
  const chunkSize = Math.min(Math.max(expected + 1, MIN_STEP_BYTES), MAX_STEP_BYTES);
  try {
    return await inflateAsync(stored, { chunkSize, maxOutputLength: most });
  } catch (cause) {
    if ((cause as { readonly code?: string }).code !== 'ERR_BUFFER_TOO_LARGE') throw cause;
    throw new Error(`it holds more than the ${most} bytes of its size`);
  }
}
