/** Cost of a model that has not run yet, in ms of one thread per px; its first batch corrects it. */
const FIRST_GUESS_MS = 4e-4;
/** Weight of the latest batch in a model's average, in (0, 1]. */
const LATEST = 0.3;
/** Models that are remembered; the least recently run is forgotten first. */
const MAX_MODELS = 64;

/** What models cost on this device: moving averages of measured times, in ms of one thread per px. */
export class ModelCosts {
  readonly #msPerPx = new Map<string, number>();

  /** The expected time for this many px of a model, in ms of one thread. */
  estimate(model: string, pixels: number): number {
    return pixels * (this.#msPerPx.get(model) ?? FIRST_GUESS_MS);
  }

  /**
   * Includes a batch that ran in the model's average.
   * @param spentMs its time × its threads
   */
  learn(model: string, pixels: number, spentMs: number): void {
    const latest = spentMs / pixels;
    const before = this.#msPerPx.get(model) ?? latest;
    this.#msPerPx.delete(model);
    this.#msPerPx.set(model, before + LATEST * (latest - before));
    if (this.#msPerPx.size > MAX_MODELS) this.#msPerPx.delete(this.#msPerPx.keys().next().value!);
  }
}
