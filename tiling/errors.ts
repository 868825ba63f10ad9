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

/** There is no image where one should be, or it may not be read. */
export class UnreachableFileError extends TilingError {
  readonly code: 'not-found' | 'permission-denied';
  /** @param path is in no message: who may know it says it */
  constructor(
    readonly path: string,
    cause: NodeJS.ErrnoException,
  ) {
    const missing = cause.code === 'ENOENT' || cause.code === 'ENOTDIR';
    super(missing ? 'there is no such file or folder' : `it cannot be read (${cause.code})`, { cause });
    this.code = missing ? 'not-found' : 'permission-denied';
  }
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

/** A picture that has to be unpacked in memory whole, which would take too much of it. */
export class UnpackedTooLargeError extends TilingError {
  readonly code = 'image-too-large';
  constructor(
    what: string,
    { width, height }: { readonly width: number; readonly height: number },
    readonly bytes: number,
    readonly maxBytes: number,
  ) {
    super(
      `${what} of ${width} × ${height} px is unpacked as a whole, which takes ${mib(bytes)} MiB of memory; the limit ` +
        `is ${mib(maxBytes)} (--max-unpacked). Save it without interlacing, or as a tiled TIFF`,
    );
  }
}

const mib = (bytes: number): string => String(Number((bytes / 2 ** 20).toPrecision(3)));

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
