import type { Rect } from '../geometry.js';
import type { SamplePainter } from './painter.js';
import { grain, uniform } from './random.js';

export const SHAPE_CLASSES = ['background', 'triangle', 'circle'] as const;

interface Shape {
  readonly label: number;
  readonly x: number;
  readonly y: number;
  readonly radius: number;
  readonly angle: number;
  readonly brightness: number;
}

/**
 * Makes a painter of noisy triangles (1) and circles (2) on an uneven background (0), at most one per cell.
 * @param cellPx side of the square cell that contains a shape
 * @param noise standard deviation of the intensities
 */
export const shapesPainter =
  (cellPx: number, noise: number): SamplePainter =>
  (rect, seed, image, labels) => {
    const firstRow = Math.floor(rect.y / cellPx);
    const firstColumn = Math.floor(rect.x / cellPx);
    for (let row = firstRow; row * cellPx < rect.y + rect.height; row++) {
      for (let column = firstColumn; column * cellPx < rect.x + rect.width; column++) {
        paintCell(
          shapeAt(column, row, seed, cellPx),
          { column, row, cellPx, noise },
          rect,
          seed,
          image,
          labels,
        );
      }
    }
  };

function paintCell(
  shape: Shape | null,
  cell: { readonly column: number; readonly row: number; readonly cellPx: number; readonly noise: number },
  rect: Rect,
  seed: number,
  image: Uint8Array,
  labels: Uint8Array,
): void {
  const { cellPx } = cell;
  const left = Math.max(rect.x, cell.column * cellPx);
  const right = Math.min(rect.x + rect.width, (cell.column + 1) * cellPx);
  const top = Math.max(rect.y, cell.row * cellPx);
  const bottom = Math.min(rect.y + rect.height, (cell.row + 1) * cellPx);
  for (let y = top; y < bottom; y++) {
    let at = (y - rect.y) * rect.width + left - rect.x;
    for (let x = left; x < right; x++, at++) {
      const inside = shape !== null && contains(shape, x, y);
      labels[at] = inside ? shape.label : 0;
      const base = inside ? shape.brightness : 75 + 20 * Math.sin(x / 410) * Math.cos(y / 330);
      image[at] = Math.max(0, Math.min(255, base + grain(x, y, seed, cell.noise)));
    }
  }
}

function shapeAt(column: number, row: number, seed: number, cellPx: number): Shape | null {
  const random = (salt: number) => uniform(column, row, seed * 31 + salt);
  const kind = random(1);
  if (kind < 0.2) return null;
  const radius = (cellPx / 64) * (10 + 18 * random(2));
  const free = cellPx - 2 * radius;
  return {
    label: kind < 0.6 ? 1 : 2,
    radius,
    x: column * cellPx + radius + free * random(3),
    y: row * cellPx + radius + free * random(4),
    angle: 2 * Math.PI * random(5),
    brightness: 130 + 80 * random(6),
  };
}

function contains({ label, x: cx, y: cy, radius, angle }: Shape, x: number, y: number): boolean {
  const [dx, dy] = [x - cx, y - cy];
  if (dx * dx + dy * dy > radius * radius) return false;
  if (label === 2) return true;
  // An equilateral triangle: its three sides lie half a radius from the centre.
  for (let side = 0; side < 3; side++) {
    const normal = angle + (side * 2 * Math.PI) / 3;
    if (dx * Math.cos(normal) + dy * Math.sin(normal) > radius / 2) return false;
  }
  return true;
}
