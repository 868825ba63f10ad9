import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { CheckpointError } from '../errors.js';
import { CARD_FORMAT_VERSION, type Card, cardSchema } from './card.js';
import { issueOf } from './schema-issue.js';
import { writeWhole } from './whole-file.js';

export const CARD_FILE = 'card.json';
export const LAYERS_FILE = 'model.json';
export const WEIGHTS_FILE = 'weights.bin';
/** The file of an imported network that is an ONNX graph, in place of those of layers. */
export const ONNX_FILE = 'model.onnx';
/** The files of a model folder that hold a network of layers; its card says what they are. */
export const NETWORK_FILES = [LAYERS_FILE, WEIGHTS_FILE] as const;

/** Writes the card of a model folder, whole or not at all. */
export async function writeCard(folder: string, card: Card): Promise<void> {
  const text = `${JSON.stringify({ ...card, form: CARD_FORMAT_VERSION }, null, 2)}\n`;
  await writeWhole(join(folder, CARD_FILE), [text]);
}

/** The format version alone, which decides whether the rest can be read. */
const formSchema = z.object({ form: z.number().optional() }).catch({});

/**
 * Reads the card of a model folder.
 * @throws CheckpointError for a card that is missing, invalid or of a newer format version
 */
export async function readCard(folder: string): Promise<Card> {
  const json = await readJson(folder, CARD_FILE);
  const { form } = formSchema.parse(json);
  if (form !== undefined && form > CARD_FORMAT_VERSION) {
    throw new CheckpointError(
      `${folder}/${CARD_FILE} has format version ${form}, of a newer unseam; this one reads versions up to ${CARD_FORMAT_VERSION}`,
    );
  }
  const parsed = cardSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new CheckpointError(`${folder}/${CARD_FILE}: ${issueOf(parsed.error)}`);
}

/**
 * SHA-256 of the layers, if there are any, and the card of a model folder, which names the digest of its weights, or of its
 * graph: without reading these.
 * @throws CheckpointError where one of them is missing
 */
export async function networkDigest(folder: string): Promise<string> {
  const hash = createHash('sha256');
  const { architecture } = await readCard(folder);
  for (const name of architecture.kind === 'onnx' ? [CARD_FILE] : [LAYERS_FILE, CARD_FILE]) {
    hash.update(await readFile(join(folder, name)).catch(rejectUnreadable(folder, name)));
  }
  return hash.digest('hex');
}

/**
 * Parses a JSON file of a model folder.
 * @throws CheckpointError where it is missing or not JSON
 */
export async function readJson(folder: string, name: string): Promise<unknown> {
  const text = await readFile(join(folder, name), 'utf8').catch(rejectUnreadable(folder, name));
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError(`${folder}/${name} is not JSON`, { cause });
  }
}

/** Handles a failed read of a model folder's file. @throws CheckpointError always */
export const rejectUnreadable =
  (folder: string, name: string) =>
  (cause: unknown): never => {
    throw new CheckpointError(`${folder} has no readable ${name}`, { cause });
  };
