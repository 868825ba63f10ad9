import { UnsupportedImageError } from './errors.js';
import { type ChosenPlanes, isStack, type Plane, type PlaneChoice, planesOf } from './planes.js';
import { type ImageSource, type PixelReader, withMembers } from './source.js';

/**
 * The chosen planes of an image, each an image of the same size, type and channels. They are opened when they are read:
 * a stack of thousands of planes takes as much memory as one of a few.
 */
export interface ImageStack extends ChosenPlanes {
  /** The distance of its planes in depth, in micrometres; undefined where that is not known, or not the same. */
  readonly zMicrons: number | undefined;
  /**
   * A plane, by its place in `planes`. Nobody closes it: the stack does.
   * @throws nothing: a plane that is missing, or of another size, fails when it is read
   */
  source(index: number): ImageSource;
  /** Closes the planes that are open, but not the image that they are of. */
  close(): Promise<void>;
}

/** Planes that stay open: the tiles of two are in flight where one ends, and results are read behind them. */
const MAX_OPEN = 4;

/** How many images of a stack of so many planes are open at a time, at most: the one that stands for it is, too. */
export const openPlanes = (planes: number): number => Math.min(planes, MAX_OPEN) + (planes > 1 ? 1 : 0);

interface OpenPlane {
  readonly opening: Promise<ImageSource>;
  /** Reads that have not ended. */
  users: number;
}

/** The planes of an open image that a choice is of; null where that is no stack. */
export const stackFor = (image: ImageSource, choice: PlaneChoice): ImageStack | null =>
  isStack(choice) ? stackOf(image, planesOf(choice, image.facts.stack)) : null;

/**
 * The chosen planes of an image that is open.
 * @param image one of them, which has the facts of all
 */
export function stackOf(image: ImageSource, chosen: ChosenPlanes): ImageStack {
  const planes = new OpenPlanes(image, chosen.planes);
  return {
    ...chosen,
    zMicrons: areNeighbours(chosen) ? image.facts.stack?.zMicrons : undefined,
    source: (index) => {
      const reader = (
        of: PixelReader,
        find: (source: ImageSource) => PixelReader | undefined,
      ): PixelReader => ({
        size: of.size,
        readRegion: (rect, signal) =>
          planes.with(index, (source) => found(find(source)).readRegion(rect, signal)),
      });
      return withMembers(image, {
        ...reader(image, (source) => source),
        overviews: image.overviews.map((level, i) => reader(level, (source) => source.overviews[i])),
        stored: image.stored && reader(image.stored, (source) => source.stored),
        openPlane: undefined,
        close: async () => undefined,
      });
    },
    close: () => planes.close(),
  };
}

const areNeighbours = ({ planes, sizeZ }: ChosenPlanes): boolean =>
  planes[sizeZ - 1]!.z - planes[0]!.z === sizeZ - 1;

function found(reader: PixelReader | undefined): PixelReader {
  if (reader) return reader;
  throw new UnsupportedImageError('a plane of the stack has fewer pyramid levels than its first');
}

/** Opens planes for those who read them; beyond `MAX_OPEN`, the least recently used is closed. */
class OpenPlanes {
  /** The most recently used last. */
  readonly #open = new Map<number, OpenPlane>();

  constructor(
    private readonly image: ImageSource,
    private readonly planes: readonly Plane[],
  ) {}

  async with<Result>(index: number, read: (source: ImageSource) => Promise<Result>): Promise<Result> {
    const plane = this.#open.get(index) ?? { opening: this.#openPlane(this.planes[index]!), users: 0 };
    this.#open.delete(index);
    this.#open.set(index, plane);
    plane.users++;
    try {
      return await read(await plane.opening);
    } finally {
      plane.users--;
      await this.#closeUnused(MAX_OPEN);
    }
  }

  close(): Promise<void> {
    return this.#closeUnused(0);
  }

  async #openPlane(plane: Plane): Promise<ImageSource> {
    const { image } = this;
    if (!image.openPlane) return withMembers(image, { close: async () => undefined });
    const source = await image.openPlane(plane);
    const [own, first] = [describe(source), describe(image)];
    if (own === first) return source;
    await source.close();
    throw new UnsupportedImageError(
      `plane z ${plane.z}, t ${plane.t} is ${own}, and the first one ${first}: the planes of a stack must be alike`,
    );
  }

  async #closeUnused(most: number): Promise<void> {
    for (const [index, { opening, users }] of this.#open) {
      if (this.#open.size <= most) break;
      if (users > 0) continue;
      this.#open.delete(index);
      await opening.then((source) => source.close()).catch(() => undefined); // a failure to open is its reader's
    }
  }
}

const describe = ({ size, facts }: ImageSource): string =>
  `${size.width} × ${size.height} px of ${facts.storedType ?? facts.dtype} in ${facts.channels} channels`;
