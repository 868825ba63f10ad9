/**
 * Memory that results are written into again: the weights and moments of a training step replace those of
 * the step before. Small arrays are not worth it.
 */
export class SpareArrays {
  readonly #byLength = new Map<number, Float32Array[]>();

  put(array: Float32Array): void {
    if (array.length < SpareArrays.LEAST) return;
    const kept = this.#byLength.get(array.length) ?? [];
    this.#byLength.set(array.length, kept);
    if (kept.length < SpareArrays.MOST) kept.push(array);
  }

  take(shape: readonly number[]): Float32Array | undefined {
    return this.#byLength.get(shape.reduce((size, dim) => size * dim, 1))?.pop();
  }

  private static readonly LEAST = 1024;
  /** Of one length: a network has that many layers of one shape, with two moments each, and some more. */
  private static readonly MOST = 32;
}
