/** Errors of `tiling/`. `code` is stable: `server/` maps it to an HTTP status and an exit code. */
export abstract class TilingError extends Error {
  abstract readonly code: string;
  override get name(): string {
    return this.constructor.name;
  }
}

/** The bytes are no image, or one of a kind that is not read. */
export class UnsupportedImageError extends TilingError {
  readonly code = 'unsupported-image';
}

/** The bytes start as an image and do not continue as one. */
export class CorruptImageError extends TilingError {
  readonly code = 'corrupt-image';
}

/** More pixels than the limit allows. */
export class ImageTooLargeError extends TilingError {
  readonly code = 'image-too-large';
  constructor(
    readonly width: number,
    readonly height: number,
    readonly maxPixels: number,
  ) {
    super(`the image claims ${width} × ${height} px; the limit is ${maxPixels} px in all`);
  }
}

/** An image on another server, which does not give it. */
export class SourceUnreachableError extends TilingError {
  readonly code = 'source-unreachable';
}

/** No room for a scratch file. */
export class DiskFullError extends TilingError {
  readonly code = 'disk-full';
}

/** A tile size that the network cannot take. */
export class TileSizeError extends TilingError {
  readonly code = 'bad-tile';
}

/** A result that cannot be written as asked. */
export class UnsupportedOutputError extends TilingError {
  readonly code = 'unsupported-output';
}
