/** Pixels labelled by the connected region that they belong to. */
export interface Components {
  /** 0 outside, else 1 to `count`, in the order of each region's first pixel. */
  readonly ids: Int32Array;
  readonly count: number;
}

/**
 * Regions of pixels of equal, positive value that touch along an edge (4-connectivity): cells whose
 * corners meet across a thin border stay apart. Union-find in two passes.
 */
export function components(values: ArrayLike<number>, width: number, height: number): Components {
  const ids = new Int32Array(width * height);
  const parents: number[] = [0];
  const root = (id: number): number => {
    while (parents[id]! !== id) {
      parents[id] = parents[parents[id]!]!;
      id = parents[id]!;
    }
    return id;
  };
  for (let at = 0; at < ids.length; at++) {
    const value = values[at]!;
    if (value <= 0) continue;
    const left = at % width > 0 && values[at - 1] === value ? ids[at - 1]! : 0;
    const above = at >= width && values[at - width] === value ? ids[at - width]! : 0;
    if (left > 0 && above > 0) {
      const [a, b] = [root(left), root(above)];
      const first = Math.min(a, b);
      parents[Math.max(a, b)] = first;
      ids[at] = first;
    } else if (left + above > 0) {
      ids[at] = left + above;
    } else {
      parents.push(parents.length);
      ids[at] = parents.length - 1;
    }
  }
  const numbers = new Int32Array(parents.length);
  let count = 0;
  for (let at = 0; at < ids.length; at++) {
    if (ids[at] === 0) continue;
    const id = root(ids[at]!);
    if (numbers[id] === 0) numbers[id] = ++count;
    ids[at] = numbers[id]!;
  }
  return { ids, count };
}
