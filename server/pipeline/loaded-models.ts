import type { Engine, EngineModel } from '../../model/engine/engine.js';
import { modelBytes } from '../../model/engine/session-bytes.js';
import type { FoundModel, ModelShelf } from '../../model/shelf/shelf.js';

/** Memory of loaded models in a lane; beyond it, those that are not in use are evicted, the least recently used first. */
const DEFAULT_BYTES = 1 << 30;

interface Loaded {
  readonly folder: string;
  readonly model: Promise<EngineModel>;
}

/** The models of a shelf that an engine has loaded. */
export class LoadedModels {
  /** By folder and card, the most recently used last: a folder that was replaced is another model. */
  readonly #loaded = new Map<string, Loaded>();
  /** By folder. */
  readonly #users = new Map<string, number>();

  constructor(
    private readonly shelf: Pick<ModelShelf, 'find'>,
    private readonly engine: Pick<Engine, 'load' | 'unload'>,
    private readonly maxBytes = DEFAULT_BYTES,
  ) {}

  /**
   * Finds a model, and has what is loaded of it stay loaded for the time of `work`.
   * @param name see `ModelShelf.find`
   */
  async use<Result>(name: string | undefined, work: (model: FoundModel) => Promise<Result>): Promise<Result> {
    const model = await this.shelf.find(name);
    return this.hold(model, () => work(model));
  }

  /** Has what is loaded of a model stay loaded for the time of `work`, which may outlive the `use` that it is called in. */
  async hold<Result>({ folder }: FoundModel, work: () => Promise<Result>): Promise<Result> {
    this.#users.set(folder, (this.#users.get(folder) ?? 0) + 1);
    try {
      return await work();
    } finally {
      const users = this.#users.get(folder)! - 1;
      if (users === 0) this.#users.delete(folder);
      else this.#users.set(folder, users);
    }
  }

  /** A model as its folder is now, loaded if it is not; called within `use`. */
  async load({ folder, card }: FoundModel): Promise<EngineModel> {
    const key = JSON.stringify([folder, card]);
    const loaded = this.#loaded.get(key) ?? { folder, model: this.engine.load(folder) };
    this.#loaded.delete(key);
    this.#loaded.set(key, loaded);
    try {
      const model = await loaded.model;
      await this.#evict();
      return model;
    } catch (error) {
      this.#loaded.delete(key);
      throw error;
    }
  }

  async #evict(): Promise<void> {
    const models = await Promise.all([...this.#loaded.values()].map(({ model }) => model.catch(() => null)));
    let bytes = models.reduce((sum, model) => sum + (model ? modelBytes(model.card) : 0), 0);
    for (const [key, { folder, model }] of this.#loaded) {
      if (bytes <= this.maxBytes) break;
      if (this.#users.has(folder)) continue;
      this.#loaded.delete(key);
      const { id, card } = await model;
      bytes -= modelBytes(card);
      await this.engine.unload(id);
    }
  }
}
