/** Errors of `tiling/`. `code` is stable: `server/` maps it to an HTTP status and an exit code. */
export abstract class TilingError extends Error {
  abstract readonly code: string;
  override get name(): string {
    return this.constructor.name;
  }
}

/** The bytes are not an image, or one of an unsupported kind. */
export class UnsupportedImageError extends TilingError {
  readonly code = 'unsupported-image';
}

/** The bytes begin as an image, but what follows is damaged, truncated or contradictory. */
export class CorruptImageError extends TilingError {
  readonly code = 'corrupt-image';
}

/** The image does not exist, or this process may not read it. */
export class UnreachableFileError extends TilingError {
  readonly code: 'not-found' | 'permission-denied';
  /** @param path is kept out of the message: not everyone who sees that may know it */
  constructor(
    readonly path: string,
    cause: Error & { readonly code?: string | undefined },
  ) {
    const missing = cause.code === 'ENOENT' || cause.code === 'ENOTDIR';
    super(missing ? 'there is no such file or folder' : `it cannot be read (${cause.code})`, { cause });
    this.code = missing ? 'not-found' : 'permission-denied';
  }
}

/** The image has more pixels than the limit allows. */
export class ImageTooLargeError extends TilingError {
  readonly code = 'image-too-large';
  constructor(
    readonly width: number,
    readonly height: number,
    readonly maxPixels: number,
    /** Of a stack, those that are chosen. */
    readonly planes = 1,
  ) {
    const each = planes === 1 ? '' : ` in each of ${planes} planes`;
    super(`the image claims ${width} × ${height} px${each}; the limit is ${maxPixels} px in all`);
  }
}

/** More planes are chosen of a stack than one job may have. */
export class TooManyPlanesError extends TilingError {
  readonly code = 'image-too-large';
  constructor(
    readonly planes: number,
    readonly maxPlanes: number,
  ) {
    super(`${planes} planes are too many for one job: at most ${maxPlanes}`);
  }
}

/** The picture must be unpacked in memory as a whole, which would take too much of it. */
export class UnpackedTooLargeError extends TilingError {
  readonly code = 'image-too-large';
  constructor(
    what: string,
    { width, height }: { readonly width: number; readonly height: number },
    readonly bytes: number,
    readonly maxBytes: number,
  ) {
    super(
      `${what} of ${width} × ${height} px must be unpacked as a whole, which takes ${mib(bytes)} MiB of memory; the limit ` +
        `is ${mib(maxBytes)} (--max-unpacked). Save it without interlacing, or as a tiled TIFF`,
    );
  }
}

const mib = (bytes: number): string => String(Number((bytes / 2 ** 20).toPrecision(3)));

/** The image is on another server, which does not deliver it. */
export class SourceUnreachableError extends TilingError {
  readonly code = 'source-unreachable';
}

/** The disk has no room for a scratch file. */
export class DiskFullError extends TilingError {
  readonly code = 'disk-full';
}

/** The network does not accept tiles of this size. */
export class TileSizeError extends TilingError {
  readonly code = 'bad-tile';
}

/** The result cannot be written in the requested format. */
export class UnsupportedOutputError extends TilingError {
  readonly code = 'unsupported-output';
}

/** The result would replace something that is not one. */
export class ConflictError extends TilingError {
  readonly code = 'conflict';
}
