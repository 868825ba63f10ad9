/** The tags that are read and written, by their numbers (TIFF 6.0; supplement 1 for SubIFDs). */
export const TAG = {
  newSubfileType: 254,
  width: 256,
  height: 257,
  bits: 258,
  compression: 259,
  photometric: 262,
  fillOrder: 266,
  description: 270,
  stripOffsets: 273,
  samples: 277,
  rowsPerStrip: 278,
  stripByteCounts: 279,
  xResolution: 282,
  yResolution: 283,
  planar: 284,
  resolutionUnit: 296,
  software: 305,
  predictor: 317,
  colourMap: 320,
  tileWidth: 322,
  tileHeight: 323,
  tileOffsets: 324,
  tileByteCounts: 325,
  subIfds: 330,
  extraSamples: 338,
  sampleFormat: 339,
  jpegTables: 347,
  xmp: 700,
  ndpi: 65420,
} as const;

/** Compressions, by their numbers. */
export const COMPRESSION = {
  none: 1,
  lzw: 5,
  jpeg: 7,
  deflate: 8,
  packBits: 32773,
  oldDeflate: 32946,
  /** JPEG 2000: of YCbCr and of RGB by Aperio, and as others number it. */
  aperioYcbcr: 33003,
  aperioRgb: 33005,
  jpeg2000: 34712,
} as const;

/** What values are colours of, by its number. */
export const PHOTOMETRIC = { whiteIsZero: 0, blackIsZero: 1, rgb: 2, palette: 3, ycbcr: 6 } as const;

/** What values are, by its number. */
export const SAMPLE_FORMAT = { unsigned: 1, float: 3 } as const;
