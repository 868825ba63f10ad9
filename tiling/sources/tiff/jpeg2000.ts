import { createRequire } from 'node:module';
import { checkFrame, type FrameSize, jpeg2000Frame } from './jpeg-header.js';

interface Decoder {
  getEncodedBuffer(length: number): Uint8Array;
  getDecodedBuffer(): Uint8Array;
  getFrameInfo(): { width: number; height: number; bitsPerSample: number; componentCount: number };
  decode(): void;
  delete(): void;
}
interface Codec {
  readonly J2KDecoder: new () => Decoder;
}
type CodecOptions = { readonly print: () => void; readonly printErr: (line: string) => void };

/** The codec reports errors on its own error output only. */
let failure: string | null = null;
let loading: Promise<Codec> | null = null;

/** Loads OpenJPEG, compiled to WebAssembly, for the first JPEG 2000 tile. */
function codec(): Promise<Codec> {
  const require = createRequire(import.meta.url);
  const load = require('@cornerstonejs/codec-openjpeg/decodewasmjs') as (o: CodecOptions) => Promise<Codec>;
  loading ??= load({ print: () => undefined, printErr: (line) => (failure ??= line) });
  return loading;
}

/**
 * Decodes a JPEG 2000 codestream or file of 8 bits a component to interleaved bytes.
 * @param isYcbcr whether its components are Y, Cb and Cr although it does not say so, as in Aperio's 33003
 * @param rows that it must have at least; it may have all of the tile's
 * @throws Error for what OpenJPEG cannot decode and, before it is decoded, for a size that is not the tile's
 */
export async function decodeJpeg2000(
  stored: Uint8Array,
  isYcbcr: boolean,
  size: FrameSize,
  rows: number,
): Promise<Uint8Array> {
  checkFrame('JPEG 2000', jpeg2000Frame(stored), size, rows);
  const { J2KDecoder } = await codec();
  const decoder = new J2KDecoder();
  failure = null;
  try {
    decoder.getEncodedBuffer(stored.length).set(stored);
    decoder.decode();
    if (failure !== null) throw new Error((failure as string).replace(/^\[ERROR\] /, ''));
    const { width, height, bitsPerSample, componentCount: channels } = decoder.getFrameInfo();
    if (bitsPerSample !== 8) throw new Error(`JPEG 2000 of ${bitsPerSample} bits a component`);
    const data = Uint8Array.from(decoder.getDecodedBuffer());
    if (data.length !== width * height * channels)
      throw new Error('JPEG 2000 with fewer pixels than it claims');
    if (isYcbcr && channels === 3) ycbcrToRgb(data);
    return data;
  } finally {
    decoder.delete();
  }
}

/** Full-range Rec. 601, as JFIF defines it. */
function ycbcrToRgb(data: Uint8Array): void {
  const clamp = (value: number): number => Math.max(0, Math.min(255, Math.round(value)));
  for (let i = 0; i < data.length; i += 3) {
    const [y, cb, cr] = [data[i]!, data[i + 1]! - 128, data[i + 2]! - 128];
    data[i] = clamp(y + 1.402 * cr);
    data[i + 1] = clamp(y - 0.344136 * cb - 0.714136 * cr);
    data[i + 2] = clamp(y + 1.772 * cb);
  }
}
