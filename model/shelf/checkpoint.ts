import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';

import tf = require('@tensorflow/tfjs-core');
import tfl = require('@tensorflow/tfjs-layers');

import { z } from 'zod';
import { CheckpointError } from '../errors.js';
import type { TileGeometry } from '../network/geometry.js';
import { LayersNetwork } from '../network/layers-network.js';
import { phasedAs } from '../network/phase.js';
import { classesOfScores } from '../network/score-kind.js';
import type { TileModel } from '../network/tile-model.js';
import { parseRanges, QUANTISATION, type Ranges } from '../quantisation/ranges.js';
import { CARD_FORMAT_VERSION, type Card, cardSchema, scoresOf } from './card.js';
import {
  CARD_FILE,
  LAYERS_FILE,
  ONNX_FILE,
  readCard,
  readJson,
  rejectUnreadable,
  WEIGHTS_FILE,
  writeCard,
} from './model-files.js';
import { issueOf } from './schema-issue.js';
import { writeWhole } from './whole-file.js';
// For its side effect: it registers the layer of models that resize their logits.
import '../network/resizing.js';

export interface Checkpoint {
  readonly network: TileModel;
  readonly card: Card;
  /** The ranges of a quantised version; null for others. */
  readonly ranges: Ranges | null;
  /** SHA-256 of its layers, weights and ranges. */
  readonly digest: string;
}

/**
 * Writes a model folder: `model.json` and `weights.bin`, a plain TensorFlow.js LayersModel, and `card.json`. It
 * appears whole or not at all, and replaces an existing one.
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
        complete = cardSchema.parse({
          ...card,
          form: CARD_FORMAT_VERSION,
          weights: { sha256, bytes: weights.length },
        });
        const manifest = [{ paths: [WEIGHTS_FILE], weights: weightSpecs }];
        const json = { modelTopology, format, generatedBy, convertedBy, weightsManifest: manifest };
        await writeWhole(join(partial, WEIGHTS_FILE), [weights]);
        await writeWhole(join(partial, LAYERS_FILE), [JSON.stringify(json)]);
        await writeCard(partial, complete);
        return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' as const } };
      },
    ),
  );
  await rm(folder, { recursive: true, force: true });
  await rename(partial, folder);
  return complete!;
}

/**
 * Loads a model folder and verifies its card against its weights and network.
 * @throws CheckpointError for a folder that lacks a file, or whose card does not match
 * @throws InexactModelError for a network that cannot be tiled exactly
 * @throws OnnxFileError, UnsupportedNodeError for an imported graph
 */
export async function loadCheckpoint(folder: string): Promise<Checkpoint> {
  const card = await readCard(folder);
  const ranges = await rangesOf(folder, card);
  const load = card.architecture.kind === 'onnx' ? loadGraph : loadLayers;
  const { network, digest } = await load(folder, card);
  const mismatch = findMismatch(card, network);
  if (mismatch === null) return { network, card, ranges, digest };
  network.dispose();
  const remedy = card.imported ? '; import it again' : '';
  throw new CheckpointError(`${folder}/${CARD_FILE} does not match its network: ${mismatch}${remedy}`);
}

type Loaded = Pick<Checkpoint, 'network' | 'digest'>;

/** Reads a file that a card has the digest of. @throws CheckpointError */
async function readVerified(folder: string, name: string, { weights }: Card): Promise<Buffer> {
  const bytes = await readFile(join(folder, name)).catch(rejectUnreadable(folder, name));
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (sha256 === weights.sha256) return bytes;
  throw new CheckpointError(`${folder}/${name} does not match its card: its SHA-256 is ${sha256}`);
}

async function loadGraph(folder: string, card: Card): Promise<Loaded> {
  const { architecture, inputChannels, weights } = card;
  const bytes = await readVerified(folder, ONNX_FILE, card);
  const { importOnnx } = await import('../imported/import-onnx.js');
  const network = importOnnx(bytes, {
    channels: inputChannels,
    scores: scoresOf(card),
    classes: card.classes.length,
    halo: architecture.halo,
    ...(!architecture.tileable && { approximateSide: architecture.smallest }),
  });
  return {
    network,
    digest: createHash('sha256').update(weights.sha256).update(meaningOf(network)).digest('hex'),
  };
}

/**
 * What a card says of an imported network, whose file does not: two models of it may have other results, and one of them
 * may be served in tiles of one size, so that an outcome of the other one's test is not its own.
 */
const meaningOf = ({ head, geometry: { halo, tileable, smallest } }: TileModel): string =>
  JSON.stringify([head.kind, halo, ...(tileable ? [] : [smallest])]);

async function loadLayers(folder: string, card: Card): Promise<Loaded> {
  const json = modelSchema.safeParse(await readJson(folder, LAYERS_FILE));
  if (!json.success) throw new CheckpointError(`${folder}/${LAYERS_FILE}: ${issueOf(json.error)}`);
  const { modelTopology, weightsManifest } = json.data;
  const weights = await readVerified(folder, WEIGHTS_FILE, card);
  const weightData = weights.buffer.slice(
    weights.byteOffset,
    weights.byteOffset + weights.length,
  ) as ArrayBuffer;
  const weightSpecs = weightsManifest.flatMap((group) => group.weights);
  const model = await tfl.loadLayersModel(tf.io.fromMemory({ modelTopology, weightSpecs, weightData }));
  try {
    const { architecture } = card;
    const isImported = architecture.kind === 'layers';
    const network = new LayersNetwork(
      model,
      scoresOf(card),
      (derived) => (isImported ? phasedAs(derived, architecture.halo) : derived),
      card.classes.length,
    );
    const hash = createHash('sha256').update(JSON.stringify(modelTopology)).update(card.weights.sha256);
    if (isImported) hash.update(meaningOf(network));
    return { network, digest: hash.update(card.quantisation?.sha256 ?? '').digest('hex') };
  } catch (error) {
    model.dispose();
    throw error;
  }
}

/**
 * The ranges of a quantised version; null for others.
 * @throws CheckpointError where they are missing, or not those of the card
 */
async function rangesOf(folder: string, { quantisation }: Card): Promise<Ranges | null> {
  if (quantisation === undefined) return null;
  const text = await readFile(join(folder, QUANTISATION), 'utf8').catch(
    rejectUnreadable(folder, QUANTISATION),
  );
  const sha256 = createHash('sha256').update(text).digest('hex');
  if (sha256 === quantisation.sha256) return parseRanges(text, `${folder}/${QUANTISATION}`);
  throw new CheckpointError(`${folder}/${QUANTISATION} does not match its card: its SHA-256 is ${sha256}`);
}

/** The first statement of a card that is not true of its network; null where all are. */
function findMismatch({ architecture, inputChannels, classes }: Card, network: TileModel): string | null {
  const stated: Record<string, unknown> = {
    'input channels': inputChannels,
    parameters: architecture.parameters,
  };
  const found: Record<string, unknown> = {
    'input channels': network.inputChannels,
    parameters: network.parameters,
  };
  stated.classes = classes.length;
  found.classes = classesOfScores(network.head.kind, network.outputChannels);
  for (const [name, value] of Object.entries(network.geometry)) {
    [stated[name], found[name]] = [architecture[name as keyof TileGeometry], value];
  }
  const text = (value: unknown): string => JSON.stringify(value);
  const name = Object.keys(found).find((key) => !isDeepStrictEqual(stated[key], found[key]));
  return name === undefined
    ? null
    : `it states ${name}: ${text(stated[name])}; the network has ${text(found[name])}`;
}

/** What is read of `model.json`. The topology stays as it is: its text is part of the digest. */
const modelSchema = z.object({
  modelTopology: z.custom<object>((value) => typeof value === 'object' && value !== null, 'not an object'),
  weightsManifest: z.array(
    z.object({
      weights: z.array(
        z.object({
          name: z.string(),
          shape: z.array(z.int().min(0)),
          dtype: z.enum(['float32', 'int32', 'bool', 'string', 'complex64']),
          quantization: z
            .object({
              dtype: z.enum(['uint8', 'uint16', 'float16']),
              scale: z.number().exactOptional(),
              min: z.number().exactOptional(),
            })
            .exactOptional(),
        }),
      ),
    }),
  ),
});
