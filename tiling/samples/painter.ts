import type { Rect } from '../geometry.js';

/**
 * Paints the pixels of `rect` into `image` and their classes into `labels`, each `rect.width · rect.height` long.
 * A pixel depends on its position and the seed alone, not on the rectangle.
 */
export type SamplePainter = (rect: Rect, seed: number, image: Uint8Array, labels: Uint8Array) => void;
