import { type Components, components } from './components.js';
import { squaredDistances } from './distance.js';

/** The border term of the U-Net paper's weight map. */
export interface BorderWeights {
  /** The weight where two cells touch, at least 0; 10 in the paper. */
  readonly w0: number;
  /** The distance over which it falls off, in px, positive; 5 in the paper. */
  readonly sigma: number;
}

/** A smaller term does not change a weight of 1 in 32 bits. */
const NEGLIGIBLE = 1e-9;

/** The distance from a cell, in px, beyond which its term is negligible. */
export const borderReach = ({ w0, sigma }: BorderWeights): number =>
  Math.ceil(sigma * Math.sqrt(2 * Math.log(Math.max(w0 / NEGLIGIBLE, 1))));

/**
 * The border term between the 4-connected regions of each class above 0; see `weightsBetween`.
 *
 * @param labels class indices, `width · height`; pixels of class `ignored` belong to no cell
 */
export function borderWeights(
  labels: ArrayLike<number>,
  width: number,
  height: number,
  border: BorderWeights,
  ignored = -1,
): Float32Array {
  const cells = ignored < 0 ? labels : Uint8Array.from(labels, (label) => (label === ignored ? 0 : label));
  return weightsBetween(components(cells, width, height), width, height, border);
}

/** Cells by their numbers: each value above 0 is one cell, connected or not. */
export function numberedCells(values: ArrayLike<number>): Components {
  const numbers = new Map<number, number>([[0, 0]]);
  const ids = Int32Array.from(values, (value) => {
    const known = numbers.get(value);
    if (known !== undefined) return known;
    const id = numbers.size;
    numbers.set(value, id);
    return id;
  });
  return { ids, count: numbers.size - 1 };
}

/**
 * `w0 · exp(−(d1 + d2)² / 2σ²)` for each pixel, with d1 and d2 its distances in px to the nearest and the second
 * nearest cell (Ronneberger et al. 2015, equation 2, without w_c); 0 with fewer than two cells. Distances are exact,
 * between pixel centres, 0 inside a cell, and computed only around each cell, as far as the term matters.
 */
export function weightsBetween(
  { ids, count }: Components,
  width: number,
  height: number,
  { w0, sigma }: BorderWeights,
): Float32Array {
  const reach = borderReach({ w0, sigma });
  const nearest = new Float64Array(ids.length).fill(Number.POSITIVE_INFINITY);
  const second = new Float64Array(ids.length).fill(Number.POSITIVE_INFINITY);
  for (const [i, box] of boxes(ids, count, width).entries()) {
    const left = Math.max(0, box.left - reach);
    const top = Math.max(0, box.top - reach);
    const across = Math.min(width, box.right + 1 + reach) - left;
    const down = Math.min(height, box.bottom + 1 + reach) - top;
    const id = i + 1;
    const squared = squaredDistances((x, y) => ids[(top + y) * width + left + x] === id, across, down);
    for (let y = 0; y < down; y++) {
      for (let x = 0; x < across; x++) {
        const at = (top + y) * width + left + x;
        const d = squared[y * across + x]!;
        if (d < nearest[at]!) {
          second[at] = nearest[at]!;
          nearest[at] = d;
        } else if (d < second[at]!) {
          second[at] = d;
        }
      }
    }
  }
  return Float32Array.from(nearest, (d1, at) => {
    const d2 = second[at]!;
    return d2 === Number.POSITIVE_INFINITY
      ? 0
      : w0 * Math.exp(-((Math.sqrt(d1) + Math.sqrt(d2)) ** 2) / (2 * sigma ** 2));
  });
}

interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

function boxes(ids: Int32Array, count: number, width: number): Box[] {
  const found = Array.from({ length: count }, () => ({ left: width, top: Infinity, right: -1, bottom: -1 }));
  for (let at = 0; at < ids.length; at++) {
    if (ids[at] === 0) continue;
    const box = found[ids[at]! - 1]!;
    const x = at % width;
    const y = (at - x) / width;
    box.left = Math.min(box.left, x);
    box.right = Math.max(box.right, x);
    box.top = Math.min(box.top, y);
    box.bottom = y;
  }
  return found;
}
