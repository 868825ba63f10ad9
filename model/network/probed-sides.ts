/**
 * Sides of images, in px, with which a network of somebody else is built until one suits all of its poolings: those of
 * usual tiles first, those of networks without padding (572, 388), and then 64 in a row.
 */
export const PROBED_SIDES: readonly number[] = [
  ...[256, 512, 128, 64, 32, 572, 388],
  ...Array.from({ length: 64 }, (_, i) => 193 + i),
];
