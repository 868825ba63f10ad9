import type { Rect, Size } from '../geometry.js';
import type { MaskArray, MaskSink } from '../sink.js';
import { PartialFile } from './partial-file.js';

/**
 * Writes the values of a mask alone, row by row from the top: a byte a px, or `channels` floats of 32 bits,
 * little-endian and interleaved. The planes of a stack follow each other. For programs that have no decoder, or want none.
 */
export class RawSink implements MaskSink {
  private constructor(
    private readonly file: PartialFile,
    private readonly size: Size,
    private readonly channels: number,
  ) {}

  /** @param channels values of each px */
  static async create(path: string, size: Size, channels: number): Promise<RawSink> {
    return new RawSink(await PartialFile.create(path), size, channels);
  }

  async writeBand(rect: Rect, data: MaskArray, plane: number): Promise<void> {
    // Native byte order, which is little-endian on all machines that engines are built for.
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const pixelBytes = this.channels * data.BYTES_PER_ELEMENT;
    const { width, height } = this.size;
    const at = (y: number) => ((plane * height + rect.y + y) * width + rect.x) * pixelBytes;
    if (rect.width === width) {
      await this.file.writeAt(bytes, at(0));
      return;
    }
    const rowBytes = rect.width * pixelBytes;
    for (let y = 0; y < rect.height; y++) {
      await this.file.writeAt(bytes.subarray(y * rowBytes, (y + 1) * rowBytes), at(y));
    }
  }

  finish(): Promise<void> {
    return this.file.commit();
  }

  abort(): Promise<void> {
    return this.file.discard();
  }
}
