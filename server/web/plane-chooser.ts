import type { Job } from '../../client/index.js';
import { byId } from './by-id.js';

/** A plane of a stack, by its indices in the image. */
export interface ShownPlane {
  readonly z: number;
  readonly t: number;
}

const AXES = ['z', 't'] as const;
type Axis = (typeof AXES)[number];

/** Sliders for plane and time, of jobs whose image is a stack. */
export class PlaneChooser {
  /** The indices that a job segments, along each axis; null for an image of one plane. */
  #indices: Readonly<Record<Axis, readonly number[]>> | null = null;
  #job: string | null = null;

  constructor(private readonly onChoose: (plane: ShownPlane) => void) {
    for (const axis of AXES) {
      slider(axis).addEventListener('input', () => {
        this.#label(axis);
        if (this.plane) this.onChoose(this.plane);
      });
    }
  }

  /** The chosen plane; null for an image of one plane. */
  get plane(): ShownPlane | null {
    return this.#indices && { z: this.#index('z'), t: this.#index('t') };
  }

  /** Shows the sliders of a job: another job begins with its first plane. */
  show({ id, image: { stack } }: Job): void {
    if (id === this.#job) return;
    this.#job = id;
    this.#indices = stack && { z: indicesOf(stack.z), t: indicesOf(stack.t) };
    for (const axis of AXES) {
      const count = this.#indices?.[axis].length ?? 1;
      byId(`at-${axis}`).hidden = count === 1;
      slider(axis).max = String(count - 1);
      slider(axis).value = '0';
      this.#label(axis);
    }
  }

  #index(axis: Axis): number {
    return this.#indices?.[axis][Number(slider(axis).value)] ?? 0;
  }

  #label(axis: Axis): void {
    byId(`${axis}-index`).textContent = String(this.#index(axis));
  }
}

const slider = (axis: Axis): HTMLInputElement => byId<HTMLInputElement>(axis);

/** The indices of intervals such as `0-4,7`. */
function indicesOf(ranges: string): number[] {
  return ranges.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}
