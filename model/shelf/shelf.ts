import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError, ModelChoiceError, UnknownModelError } from '../errors.js';
import type { Card } from './card.js';
import { CARD_FILE, readCard } from './model-files.js';

export interface ModelFolder {
  readonly name: string;
  /** A number, or that of the version that it quantises, such as `1-int8`. */
  readonly version: Card['version'];
  readonly folder: string;
}

/** A version of a model that is trained here. */
export interface NumberedModel extends ModelFolder {
  readonly version: number;
}

/** A model that can be used, with the card that was checked. */
export interface FoundModel extends ModelFolder {
  readonly card: Card;
}

/** A model that has a card. */
interface StampedModel extends ModelFolder {
  /** Identifies the content of its card's file. */
  readonly stamp: string;
}

/** Names of versions: numbers, and of those that are quantised, the number with a suffix. */
const NUMBER = /^[1-9]\d{0,8}$/;
const QUANTISED = /^[1-9]\d{0,8}-int8$/;

/**
 * The models of a folder, `NAME/VERSION/`. A quantised version is used only where it is named. Each call reads the
 * folder, so that a new version is served without a restart.
 */
export class ModelShelf {
  /** Cards that were read, by the folder of their model. */
  readonly #cards = new Map<string, { readonly stamp: string; readonly card: Card }>();

  constructor(private readonly root: string) {}

  /** The latest version of each model, sorted by name. A version in training has no card, and is not listed. */
  async list(): Promise<ModelFolder[]> {
    return (await this.#newestOfEach()).map(({ stamp: _, ...model }) => model);
  }

  /**
   * The cards of all models, and the models that cannot be used, with the reason.
   * @param options.read reads and validates a model
   * @param options.quantised whether quantised versions are listed, too, each behind its model; default false
   */
  async survey({ read = cardOf, quantised = false }: SurveyOptions = {}): Promise<Survey> {
    const survey: { cards: Card[]; unreadable: UnreadableModel[] } = { cards: [], unreadable: [] };
    const models: ModelFolder[] = [];
    for (const model of await this.list()) {
      models.push(model);
      if (quantised) models.push(...(await this.quantised(model.name)));
    }
    for (const model of models) {
      const { name, version, folder } = model;
      try {
        survey.cards.push(await read(model));
      } catch (error) {
        // HTTP clients must not learn the server's paths
        const reason = (error as Error).message.replaceAll(`${folder}/`, '').replaceAll(folder, 'the folder');
        survey.unreadable.push({ name, version, reason });
      }
    }
    return survey;
  }

  /**
   * The folder and the card of the requested model, `NAME` or `NAME/VERSION`; without a name, of the only model.
   * @throws UnknownModelError; ModelChoiceError where none is named and there are several, or none
   * @throws CheckpointError where its card is unreadable, or another model's
   */
  async find(name: string | undefined): Promise<FoundModel> {
    if (name === undefined) return this.#only();
    const [, plain, version] = /^(.*)\/([1-9]\d{0,8}(?:-int8)?)$/.exec(name) ?? [null, name, null];
    const model = await this.#named(plain!, version!);
    if (model) return this.#withCard(model);
    const models = (await this.list()).map((each) => each.name);
    throw new UnknownModelError(name, models.includes(plain!) ? await this.#versionNames(plain!) : models);
  }

  /** The quantised versions of a model, by the numbers of those that they were made of. */
  async quantised(name: string): Promise<ModelFolder[]> {
    const folders = (await subfolders(join(this.root, name))).filter((version) => QUANTISED.test(version));
    const versions = folders.map((version) => this.#version(name, version));
    const isFinished = await Promise.all(versions.map(({ folder }) => exists(join(folder, CARD_FILE))));
    return versions
      .filter((_, i) => isFinished[i])
      .sort((a, b) => Number.parseInt(String(a.version), 10) - Number.parseInt(String(b.version), 10));
  }

  /** The folder of the quantised version of another one; it need not exist yet. */
  quantisedOf({ name, version }: ModelFolder): ModelFolder {
    return this.#version(name, `${version}-int8`);
  }

  #version(name: string, version: string): ModelFolder {
    const folder = join(this.root, name, version);
    return { name, version: NUMBER.test(version) ? Number(version) : version, folder };
  }

  /** The path of a model's training curves; null where it has none. */
  async curvesOf({ name, version }: Pick<ModelFolder, 'name' | 'version'>): Promise<string | null> {
    const path = join(this.root, name, String(version), 'training', 'curves.svg');
    return (await exists(path)) ? path : null;
  }

  /** The folder of a model's next version, which does not exist yet. */
  async nextVersion(name: string): Promise<NumberedModel> {
    const version = ((await versionsOf(join(this.root, name)))[0] ?? 0) + 1;
    return { name, version, folder: join(this.root, name, String(version)) };
  }

  /**
   * The latest version of a model, whose training is unfinished: it has no card yet.
   * @throws ModelChoiceError where its training is finished, or there is no version
   */
  async unfinished(name: string): Promise<NumberedModel> {
    const [version] = await versionsOf(join(this.root, name));
    const folder = join(this.root, name, String(version));
    if (version === undefined || (await exists(join(folder, CARD_FILE)))) {
      throw new ModelChoiceError(`there is no unfinished training of "${name}" to resume`);
    }
    return { name, version, folder };
  }

  /** The versions of a model that can be used, as `NAME/VERSION`. */
  async #versionNames(name: string): Promise<string[]> {
    const numbers = await versionsOf(join(this.root, name));
    const models = await Promise.all(numbers.map((number) => this.#named(name, String(number))));
    const finished = models.filter((model) => model !== null);
    return [...finished, ...(await this.quantised(name))].map(({ version }) => `${name}/${version}`);
  }

  /** The latest version of each model, sorted by name. */
  async #newestOfEach(): Promise<StampedModel[]> {
    const names = await subfolders(this.root);
    const found = await Promise.all(names.map((name) => this.#newest(name)));
    return found.filter((model) => model !== null);
  }

  /** The only model. */
  async #only(): Promise<FoundModel> {
    const models = await this.#newestOfEach();
    if (models.length === 1) return this.#withCard(models[0]!);
    throw new ModelChoiceError(
      `name a model: ${models.map(({ name }) => name).join(', ') || 'there are none'}`,
    );
  }

  /** A version of a model, or its latest one; null where there is none. */
  async #named(name: string, version: string | null): Promise<StampedModel | null> {
    if (name === '' || name.startsWith('.') || /[\\/]/.test(name)) return null; // Windows has both
    return version === null ? this.#newest(name) : withStamp(this.#version(name, version));
  }

  /** Checks a model's card, which is parsed only where its file has changed. */
  async #withCard({ stamp, ...model }: StampedModel): Promise<FoundModel> {
    const { folder } = model;
    const known = this.#cards.get(folder);
    if (known && known.stamp === stamp) return { ...model, card: known.card };
    const card = await cardOf(model);
    this.#cards.set(folder, { stamp, card });
    return { ...model, card };
  }

  async #newest(name: string): Promise<StampedModel | null> {
    const folder = join(this.root, name);
    for (const version of await versionsOf(folder)) {
      const model = await withStamp({ name, version, folder: join(folder, String(version)) });
      if (model) return model;
    }
    return null;
  }
}

interface SurveyOptions {
  readonly read?: (model: ModelFolder) => Promise<Card>;
  readonly quantised?: boolean;
}

export interface UnreadableModel {
  readonly name: string;
  readonly version: ModelFolder['version'];
  readonly reason: string;
}

export interface Survey {
  readonly cards: readonly Card[];
  readonly unreadable: readonly UnreadableModel[];
}

/**
 * The card of a model.
 * @throws CheckpointError where it is unreadable, or names another model than its folder does
 */
export async function cardOf({ name, version, folder }: ModelFolder): Promise<Card> {
  const card = await readCard(folder);
  if (card.name === name && card.version === version) return card;
  throw new CheckpointError(
    `${folder}/${CARD_FILE} names model ${card.name}, version ${card.version}; its folder, ${name}/${version}`,
  );
}

/** Version numbers in a model's folder in descending order, those in training included. */
async function versionsOf(folder: string): Promise<number[]> {
  const versions = (await subfolders(folder)).filter((v) => NUMBER.test(v)).map(Number);
  return versions.sort((a, b) => b - a);
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}

/** A model with the stamp of its card; null where it has none. */
async function withStamp(model: ModelFolder): Promise<StampedModel | null> {
  const file = await stat(join(model.folder, CARD_FILE), { bigint: true }).catch(() => null);
  return file && { ...model, stamp: [file.ino, file.size, file.mtimeNs, file.ctimeNs].join() };
}

async function subfolders(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map((entry) => entry.name)
    .sort();
}
