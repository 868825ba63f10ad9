import { createRequire } from 'node:module';
import type { TestTiff } from './tiff.js';

/** Loads the OpenJPEG encoder, for lossless chunks like those of scanners. */
export async function jpeg2000Encoder(): Promise<NonNullable<TestTiff['encode']>> {
  const require = createRequire(import.meta.url);
  const openjpeg = await require('@cornerstonejs/codec-openjpeg/wasmjs')({ print: () => undefined });
  return (raw, { width, height }, componentCount) => {
    const encoder = new openjpeg.J2KEncoder();
    const frame = { width, height, bitsPerSample: 8, componentCount, isSigned: false };
    encoder.getDecodedBuffer(frame).set(raw);
    encoder.setQuality(true, 0);
    encoder.encode();
    const stored = Buffer.from(encoder.getEncodedBuffer());
    encoder.delete();
    return stored;
  };
}
