import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { type Card, cardSchema } from './card.js';
import { CheckpointError } from './errors.js';
// For its side effect: models that resize their logits are loaded with it.
import './resizing.js';

const WEIGHTS = 'weights.bin';

export interface Checkpoint {
  readonly model: tfl.LayersModel;
  readonly card: Card;
  /** SHA-256 of its layers and weights. */
  readonly digest: string;
}

/**
 * Writes `model.json` and `weights.bin`, a plain TensorFlow.js LayersModel, and `card.json` into a
 * folder of their own: whole, or not at all. A folder of that name is replaced.
 */
export async function saveCheckpoint(
  folder: string,
  model: tfl.LayersModel,
  card: Omit<Card, 'weights'>,
): Promise<Card> {
  const partial = join(dirname(folder), `.${basename(folder)}.partial`);
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  let complete: Card | undefined;
  await model.save(
    tf.io.withSaveHandler(
      async ({ weightData, weightSpecs, modelTopology, format, generatedBy, convertedBy }) => {
        const weights = Buffer.from(tf.io.CompositeArrayBuffer.join(weightData as ArrayBuffer));
        const sha256 = createHash('sha256').update(weights).digest('hex');
        complete = cardSchema.parse({ ...card, weights: { sha256, bytes: weights.length } });
        const manifest = [{ paths: [WEIGHTS], weights: weightSpecs }];
        const json = { modelTopology, format, generatedBy, convertedBy, weightsManifest: manifest };
        await writeFile(join(partial, WEIGHTS), weights);
        await writeFile(join(partial, 'model.json'), JSON.stringify(json));
        await writeCard(partial, complete);
        return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' as const } };
      },
    ),
  );
  await rm(folder, { recursive: true, force: true });
  await rename(partial, folder);
  return complete!;
}

/** Writes the card of a model folder, whole or not at all. */
export async function writeCard(folder: string, card: Card): Promise<void> {
  const path = join(folder, 'card.json');
  await writeFile(`${path}.partial`, `${JSON.stringify(card, null, 2)}\n`);
  await rename(`${path}.partial`, path);
}

/** @throws CheckpointError for a card that is missing or says what it may not */
export async function readCard(folder: string): Promise<Card> {
  const parsed = cardSchema.safeParse(await readJson(folder, 'card.json'));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new CheckpointError(`${folder}/card.json: ${issue!.path.join('.')}: ${issue!.message}`);
}

/** @throws CheckpointError for a folder that lacks a file, or weights that are not those of the card */
export async function loadCheckpoint(folder: string): Promise<Checkpoint> {
  const card = await readCard(folder);
  const { modelTopology, weightsManifest } = (await readJson(folder, 'model.json')) as ModelJson;
  const weights = await readFile(join(folder, WEIGHTS)).catch(missing(folder, WEIGHTS));
  const sha256 = createHash('sha256').update(weights).digest('hex');
  if (sha256 !== card.weights.sha256) {
    throw new CheckpointError(
      `${folder}/${WEIGHTS} is not what the card describes: its SHA-256 is ${sha256}`,
    );
  }
  const weightData = weights.buffer.slice(
    weights.byteOffset,
    weights.byteOffset + weights.length,
  ) as ArrayBuffer;
  const weightSpecs = weightsManifest.flatMap((group) => group.weights);
  const model = await tfl.loadLayersModel(tf.io.fromMemory({ modelTopology, weightSpecs, weightData }));
  const topology = JSON.stringify(modelTopology);
  const digest = createHash('sha256').update(topology).update(sha256).digest('hex');
  return { model, card, digest };
}

interface ModelJson {
  readonly modelTopology: object;
  readonly weightsManifest: { readonly weights: tf.io.WeightsManifestEntry[] }[];
}

async function readJson(folder: string, name: string): Promise<unknown> {
  const text = await readFile(join(folder, name), 'utf8').catch(missing(folder, name));
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError(`${folder}/${name} is not JSON`, { cause });
  }
}

const missing =
  (folder: string, name: string) =>
  (cause: unknown): never => {
    throw new CheckpointError(`${folder} has no readable ${name}`, { cause });
  };
