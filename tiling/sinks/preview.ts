import type { Rect, Size } from '../geometry.js';
import type { MaskArray } from '../sink.js';
import type { OverlayColour } from './overlay.js';
import { renderLabels } from './render.js';

/** Longest side of a preview. */
const SIDE_PX = 2048;
/** The label of pixels that are still to come; no class has it. */
const PENDING = 255;

/** A small picture of a mask while it is computed: every n-th pixel of what is done, in a stack of the last plane begun. */
export class Preview {
  readonly size: Size;
  readonly #step: number;
  /** Null until something is done. */
  #labels: Uint8Array | null = null;
  #plane = 0;

  constructor(image: Size) {
    this.#step = Math.max(1, Math.ceil(Math.max(image.width, image.height) / SIDE_PX));
    this.size = {
      width: Math.ceil(image.width / this.#step),
      height: Math.ceil(image.height / this.#step),
    };
  }

  /**
   * Takes a part of the mask: `rect` in image px.
   * @param values labels, or `channels` probabilities per pixel, the first of `stride` values
   * @param rowLength pixels from the start of one row to that of the next
   */
  put(
    rect: Rect,
    values: MaskArray,
    rowLength: number,
    channels: number,
    { stride = channels, plane = 0 }: { readonly stride?: number; readonly plane?: number } = {},
  ): void {
    if (plane < this.#plane) return;
    if (plane > this.#plane) this.#labels = null;
    this.#plane = plane;
    const step = this.#step;
    this.#labels ??= this.#pending();
    for (let y = Math.ceil(rect.y / step); y * step < rect.y + rect.height; y++) {
      const from = (y * step - rect.y) * rowLength;
      if (step === 1 && stride === 1) {
        this.#labels.set(values.subarray(from, from + rect.width), y * this.size.width + rect.x);
        continue;
      }
      for (let x = Math.ceil(rect.x / step); x * step < rect.x + rect.width; x++) {
        const at = (from + x * step - rect.x) * stride;
        let best = channels === 1 ? values[at]! : 0;
        for (let c = 1; c < channels; c++) if (values[at + c]! > values[at + best]!) best = c;
        this.#labels[y * this.size.width + x] = best;
      }
    }
  }

  /** Encodes a PNG in the classes' colours; transparent where a class has none, and where nothing is done. */
  png(colours: readonly OverlayColour[]): Promise<Buffer> {
    return renderLabels(this.#labels ?? this.#pending(), this.size, colours);
  }

  #pending(): Uint8Array {
    return new Uint8Array(this.size.width * this.size.height).fill(PENDING);
  }
}
