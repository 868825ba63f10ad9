import type { Rect } from '../geometry.js';
import type { MaskArray, MaskSink } from '../sink.js';
import type { ImageSource } from '../source.js';

/** Red, green and blue, 0 to 255 each; null leaves the picture as it is. */
export type OverlayColour = readonly [number, number, number] | null;

/** The values that are shown black and white. */
export interface Contrast {
  readonly low: number;
  readonly high: number;
}

/** How much of a class's colour covers the image, in [0, 1]. */
export const OVERLAY_OPACITY = 0.45;

/** The value that is shown white; of 16 bits the next one, so that their upper bytes are shown. */
const WHITE = { uint8: 255, uint16: 65_280, float32: 1 } as const;

/** Tints the image with the classes' colours: takes labels, and passes RGB on to `inner`. */
export class OverlaySink implements MaskSink {
  constructor(
    private readonly inner: MaskSink,
    private readonly source: ImageSource,
    private readonly colours: readonly OverlayColour[],
    /** The values that are shown black and white. Default: those of the type, and 0 and 1 of floats. */
    private readonly contrast: Contrast | null = null,
  ) {}

  async writeBand(rect: Rect, labels: MaskArray): Promise<void> {
    const { data, channels } = await this.source.readRegion(rect);
    const { low, high } = this.contrast ?? { low: 0, high: WHITE[this.source.facts.dtype] };
    const scale = 255 / (high - low);
    const shown = (value: number) => Math.min(255, Math.max(0, Math.floor((value - low) * scale)));
    const rgb = new Uint8Array(rect.width * rect.height * 3);
    for (let i = 0; i < labels.length; i++) {
      const colour = this.colours[labels[i]!];
      for (let c = 0; c < 3; c++) {
        const pixel = shown(data[i * channels + (channels >= 3 ? c : 0)]!);
        rgb[i * 3 + c] = colour
          ? Math.round(pixel * (1 - OVERLAY_OPACITY) + colour[c]! * OVERLAY_OPACITY)
          : pixel;
      }
    }
    await this.inner.writeBand(rect, rgb, 0);
  }

  finish(): Promise<void> {
    return this.inner.finish();
  }

  abort(): Promise<void> {
    return this.inner.abort();
  }
}
