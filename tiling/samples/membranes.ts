import type { SamplePainter } from './painter.js';
import { grain, uniform } from './random.js';

/** Mean distance of the centres of neighbouring cells. */
const CELL_PX = 44;
const MEMBRANE_PX = 5;

export const MEMBRANE_CLASSES = ['membrane', 'cell'] as const;

/**
 * Paints cells (1) separated by dark membranes (0), as in electron microscopy: the Voronoi diagram of a jittered
 * grid, with membranes where the two nearest centres are about equally far.
 */
export const paintMembranes: SamplePainter = (rect, seed, image, labels) => {
  const centre = (column: number, row: number): [number, number] => [
    (column + 0.15 + 0.7 * uniform(column, row, seed * 31 + 1)) * CELL_PX,
    (row + 0.15 + 0.7 * uniform(column, row, seed * 31 + 2)) * CELL_PX,
  ];
  for (let y = rect.y; y < rect.y + rect.height; y++) {
    const row = Math.floor(y / CELL_PX);
    let column = Number.NaN;
    let near: [number, number][] = [];
    for (let x = rect.x, at = (y - rect.y) * rect.width; x < rect.x + rect.width; x++, at++) {
      if (Math.floor(x / CELL_PX) !== column) {
        column = Math.floor(x / CELL_PX);
        near = [];
        for (let j = -2; j <= 2; j++) for (let i = -2; i <= 2; i++) near.push(centre(column + i, row + j));
      }
      let [first, second] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
      for (const [cx, cy] of near) {
        const square = (x - cx) ** 2 + (y - cy) ** 2;
        if (square < first) [first, second] = [square, first];
        else if (square < second) second = square;
      }
      const membrane = Math.sqrt(second) - Math.sqrt(first) < MEMBRANE_PX;
      labels[at] = membrane ? 0 : 1;
      const organelle = 28 * Math.sin(x / 9 + Math.sin(y / 13)) * Math.cos(y / 11);
      image[at] = Math.max(0, Math.min(255, (membrane ? 70 : 165 + organelle) + grain(x, y, seed, 20)));
    }
  }
};
