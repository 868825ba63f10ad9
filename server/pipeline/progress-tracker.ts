import type { Tile, TilePlan } from '../../tiling/plan.js';
import type { JobProgress } from '../contract/schemas/job.js';
import type { TileEnd } from './segment.js';

type Counts = { -readonly [Name in Exclude<keyof JobProgress, 'statistics'>]: number };

/** The progress of a job before its first tile. */
export function nothingDone({ count, image, planes }: Pick<TilePlan, 'count' | 'image' | 'planes'>): Counts {
  return {
    tiles: count,
    tilesDone: 0,
    tilesReplayed: 0,
    tilesSkipped: 0,
    tilesConstant: 0,
    tilesIdentical: 0,
    pixels: image.width * image.height * planes,
    pixelsDone: 0,
    pixelsComputed: 0,
    haloAndPixels: 0,
    planes,
    planesDone: 0,
  };
}

/** Counts the tiles of a job as they end, and publishes how far it is. */
export class ProgressTracker {
  readonly #count: Counts;
  /** Tiles that were done when the progress was last published; -1 before. */
  #published = -1;
  /** Tiles that have ended, by their planes, of those that have not. */
  readonly #begun = new Map<number, number>();
  readonly #tilesOfPlane: number;

  constructor(
    plan: TilePlan,
    private readonly onProgress: (progress: JobProgress) => void = () => {},
  ) {
    this.#count = nothingDone(plan);
    this.#tilesOfPlane = plan.count / plan.planes;
    this.publish();
  }

  get progress(): JobProgress {
    return { ...this.#count };
  }

  add({ index, write, read }: Tile, end: TileEnd): void {
    const count = this.#count;
    this.#countPlane(Math.floor(index / this.#tilesOfPlane));
    const pixels = write.width * write.height;
    count.tilesDone++;
    count.pixelsDone += pixels;
    switch (end) {
      case 'computed':
        count.pixelsComputed += pixels;
        count.haloAndPixels += read.width * read.height;
        break;
      case 'constant':
        count.tilesConstant++;
        break;
      case 'identical':
        count.tilesIdentical++;
        break;
      case 'skipped':
        count.tilesSkipped++;
        break;
      case 'replayed':
        count.tilesReplayed++;
        break;
    }
    // Replayed tiles end all at once: the first tile after them publishes their progress, too.
    if (end !== 'replayed') this.publish();
  }

  #countPlane(plane: number): void {
    const ended = (this.#begun.get(plane) ?? 0) + 1;
    this.#begun.set(plane, ended);
    if (ended < this.#tilesOfPlane) return;
    this.#begun.delete(plane);
    this.#count.planesDone++;
  }

  /** Publishes the progress, if tiles have ended since it was last published. */
  publish(): void {
    if (this.#published === this.#count.tilesDone) return;
    this.#published = this.#count.tilesDone;
    this.onProgress(this.progress);
  }
}
