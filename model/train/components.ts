/** Connected components of an image. */
export interface Components {
  /** For each pixel 0, or its component: 1 to `count`, in the order of their first pixels. */
  readonly ids: Int32Array;
  readonly count: number;
}

/**
 * Labels the 4-connected components of pixels with equal, positive values, by union-find in two passes. Cells that
 * touch only at corners, across a thin border, are separate.
 */
export function components(values: ArrayLike<number>, width: number, height: number): Components {
  const ids = new Int32Array(width * height);
  const parents: number[] = [0];
  const find = (id: number): number => {
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
      const [a, b] = [find(left), find(above)];
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
    const id = find(ids[at]!);
    if (numbers[id] === 0) numbers[id] = ++count;
    ids[at] = numbers[id]!;
  }
  return { ids, count };
}
