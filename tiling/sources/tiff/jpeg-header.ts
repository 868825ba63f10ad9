/** The size of a compressed picture, read before any of it is decoded. */
export interface FrameSize {
  readonly width: number;
  readonly height: number;
  readonly components: number;
}

/**
 * Reads the frame of a JPEG from its SOF marker (ITU-T T.81, B.2.2).
 * @throws Error where there is none
 */
export function jpegFrame(jpeg: Uint8Array): FrameSize {
  const view = new DataView(jpeg.buffer, jpeg.byteOffset, jpeg.byteLength);
  for (let at = 2; at + 9 < jpeg.length && jpeg[at] === 0xff; ) {
    const marker = jpeg[at + 1]!;
    if (marker === 0xff)
      at++; // a fill byte
    else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) at += 2;
    else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return { height: view.getUint16(at + 5), width: view.getUint16(at + 7), components: jpeg[at + 9]! };
    } else if (marker === 0xda || marker === 0xd9) break;
    else at += 2 + view.getUint16(at + 2);
  }
  throw new Error('a JPEG without a frame');
}

/** Where a codestream may start in a file that contains it. */
const MAX_START_BYTES = 1 << 16;

/**
 * Reads the frame of a JPEG 2000 codestream, or of a file that contains one, from its SIZ marker
 * (ITU-T T.800, A.5.1).
 * @throws Error where there is none
 */
export function jpeg2000Frame(stored: Uint8Array): FrameSize {
  const start = Buffer.from(
    stored.buffer,
    stored.byteOffset,
    Math.min(stored.length, MAX_START_BYTES),
  ).indexOf('ff4fff51', 0, 'hex');
  if (start < 0 || start + 42 > stored.length) throw new Error('a JPEG 2000 without a frame');
  const view = new DataView(stored.buffer, stored.byteOffset + start);
  const [right, bottom, left, top] = [8, 12, 16, 20].map((at) => view.getUint32(at)) as [
    number,
    number,
    number,
    number,
  ];
  return { width: right - left, height: bottom - top, components: view.getUint16(40) };
}

/**
 * @param rows the least height: the last tile of a strip may be lower than the others
 * @throws Error for a picture of an unexpected size
 */
export function checkFrame(what: string, frame: FrameSize, expected: FrameSize, rows: number): void {
  const { width, height, components } = frame;
  const fits =
    width === expected.width &&
    height >= rows &&
    height <= expected.height &&
    components === expected.components;
  if (fits) return;
  throw new Error(
    `a ${what} of ${width} × ${height} px and ${components} channels instead of ${expected.width} × ${expected.height} and ${expected.components}`,
  );
}
