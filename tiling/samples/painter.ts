import type { Rect } from '../geometry.js';

/**
 * Paints the pixels of `rect`, which may lie anywhere, into `image` and the classes into `labels`, each
 * `rect.width · rect.height` long. The same pixel comes out the same whatever the rectangle.
 */
export type SamplePainter = (rect: Rect, seed: number, image: Uint8Array, labels: Uint8Array) => void;
