import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Card } from './card.js';
import { CheckpointError, ModelChoiceError, UnknownModelError } from './errors.js';
import { readCard } from './model-files.js';

export interface ModelFolder {
  readonly name: string;
  readonly version: number;
  readonly folder: string;
}

/** A model that can be used, with the card that was checked. */
export interface FoundModel extends ModelFolder {
  readonly card: Card;
}

/**
 * The models of a folder, `NAME/VERSION/`. Each call reads the folder, so that a new version is served without a
 * restart.
 */
export class ModelShelf {
  constructor(private readonly root: string) {}

  /** The latest version of each model, sorted by name. A version in training has no card, and is not listed. */
  async list(): Promise<ModelFolder[]> {
    const names = await subfolders(this.root);
    const found = await Promise.all(names.map((name) => this.#newest(name)));
    return found.filter((model) => model !== null);
  }

  /**
   * The cards of all models, and the models that cannot be used, with the reason.
   * @param read reads and validates a model
   */
  async survey(read: (model: ModelFolder) => Promise<Card> = cardOf): Promise<Survey> {
    const survey: { cards: Card[]; unreadable: UnreadableModel[] } = { cards: [], unreadable: [] };
    for (const model of await this.list()) {
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
    const models = await this.list();
    const known = models.map((model) => model.name);
    if (name === undefined && models.length === 1) return verify(models[0]!);
    if (name === undefined)
      throw new ModelChoiceError(`name a model: ${known.join(', ') || 'there are none'}`);
    const [, plain, version] = /^(.*)\/([1-9]\d{0,8})$/.exec(name) ?? [null, name, null];
    const model = models.find((candidate) => candidate.name === plain);
    if (!model) throw new UnknownModelError(name, known);
    if (version === null || Number(version) === model.version) return verify(model);
    const folder = join(this.root, model.name, version!);
    if (!(await exists(join(folder, 'card.json')))) throw new UnknownModelError(name, known);
    return verify({ name: model.name, version: Number(version), folder });
  }

  /** The path of a model's training curves; null where it has none. */
  async curvesOf({ name, version }: Pick<ModelFolder, 'name' | 'version'>): Promise<string | null> {
    const path = join(this.root, name, String(version), 'training', 'curves.svg');
    return (await exists(path)) ? path : null;
  }

  /** The folder of a model's next version, which does not exist yet. */
  async nextVersion(name: string): Promise<ModelFolder> {
    const version = ((await versionsOf(join(this.root, name)))[0] ?? 0) + 1;
    return { name, version, folder: join(this.root, name, String(version)) };
  }

  /**
   * The latest version of a model, whose training is unfinished: it has no card yet.
   * @throws ModelChoiceError where its training is finished, or there is no version
   */
  async unfinished(name: string): Promise<ModelFolder> {
    const [version] = await versionsOf(join(this.root, name));
    const folder = join(this.root, name, String(version));
    if (version === undefined || (await exists(join(folder, 'card.json')))) {
      throw new ModelChoiceError(`there is no unfinished training of "${name}" to resume`);
    }
    return { name, version, folder };
  }

  async #newest(name: string): Promise<ModelFolder | null> {
    const folder = join(this.root, name);
    for (const version of await versionsOf(folder)) {
      const model = { name, version, folder: join(folder, String(version)) };
      if (await exists(join(model.folder, 'card.json'))) return model;
    }
    return null;
  }
}

export interface UnreadableModel {
  readonly name: string;
  readonly version: number;
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
    `${folder}/card.json names model ${card.name}, version ${card.version}; its folder, ${name}/${version}`,
  );
}

async function verify(model: ModelFolder): Promise<FoundModel> {
  return { ...model, card: await cardOf(model) };
}

/** Version numbers in a model's folder in descending order, those in training included. */
async function versionsOf(folder: string): Promise<number[]> {
  const versions = (await subfolders(folder)).filter((v) => /^[1-9]\d{0,8}$/.test(v)).map(Number);
  return versions.sort((a, b) => b - a);
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}

async function subfolders(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map((entry) => entry.name)
    .sort();
}
