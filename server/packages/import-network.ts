import { rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { deviceFacts } from '../../model/devices/environment.js';
import type { Engine, EngineModel } from '../../model/engine/engine.js';
import type { InspectedOnnx, NetworkTensor } from '../../model/engine/engine-methods.js';
import { VerificationError } from '../../model/errors.js';
import type { TestedNetwork } from '../../model/exactness/self-test.js';
import { checkTest, type TestTolerance } from '../../model/exactness/verify-test-tensor.js';
import { verifyTiles } from '../../model/exactness/verify-tiles.js';
import type { Margins } from '../../model/network/geometry.js';
import { NORMALISATION } from '../../model/network/pixels.js';
import { classesOfScores, haveOwnBackground, type ScoreKind } from '../../model/network/score-kind.js';
import type { Card, Postprocessing, Verification } from '../../model/shelf/card.js';
import { writeCard } from '../../model/shelf/model-files.js';
import { RequestError } from '../contract/errors.js';
import { createFolder } from '../storage/draft-folder.js';
import { classesNamed } from './class-names.js';
import type { NetworkSource, WrittenNetwork } from './network-source.js';

/** The test that a network comes with: an input, and the output that its makers have computed for it. */
export interface NetworkTest {
  readonly input: NetworkTensor;
  /** `[height, width, channels]`. */
  readonly output: NetworkTensor;
  /** What is done to the network's output to make that of the test. Default: nothing. */
  readonly finish?: (computed: NetworkTensor) => Float32Array;
  /** Default: as bioimageio.core has it. */
  readonly tolerance?: TestTolerance;
}

/** What is known of a model beside its network; what is left out has a default that says nothing. */
export type ImportedCard = Partial<
  Pick<
    Card,
    | 'description'
    | 'classes'
    | 'channels'
    | 'normalisation'
    | 'micronsPerPixel'
    | 'data'
    | 'threshold'
    | 'scores'
  >
>;

/** What a file or a package says of its network. */
export interface ImportSource
  extends Pick<
    ImportRequest,
    | 'network'
    | 'card'
    | 'channels'
    | 'halo'
    | 'scores'
    | 'outputNames'
    | 'threshold'
    | 'test'
    | 'check'
    | 'verifyServed'
  > {
  /** What a user should know of it. */
  readonly notes: readonly string[];
}

export interface ImportRequest {
  readonly engine: Engine;
  /** The folder of its version, which must not exist. */
  readonly folder: string;
  readonly name: string;
  readonly version: number;
  readonly network: NetworkSource;
  /** As the card states it, such as a file's name. */
  readonly source: string;
  readonly card: ImportedCard;
  /** Channels of the image, where the file leaves them open. */
  readonly channels?: number;
  /** The halo of its tiles as they have been served. Default: that with which they begin as a pass over the image alone. */
  readonly halo?: Margins;
  /** What the output means, where the graph does not end in what says so. Default: logits. */
  readonly scores?: ScoreKind;
  /** Names of the output's channels, by which classes are named where the card does not. */
  readonly outputNames?: readonly string[] | null;
  /** Of two classes: the probability from which a px has the second. Default: the more probable class. */
  readonly threshold?: number;
  readonly test?: NetworkTest;
  /** Refuses what is found of the network, where its package says otherwise. */
  readonly check?: (found: InspectedOnnx) => void;
  /** Verifies more, of the model as it is served. */
  readonly verifyServed?: (engine: Engine, model: EngineModel) => Promise<Verification['test']>;
  /** Accepts a network that is not exact, with tiles of this side alone, in px. Default: it is refused. */
  readonly approximateSide?: number;
  /** Called before each step, with what it is. */
  readonly onStep?: (step: string) => void;
}

/**
 * Imports somebody else's network as a model: derives its geometry, verifies it on this device, and writes its folder,
 * whole or not at all.
 * @throws OnnxFileError, UnsupportedNodeError, InexactModelError (by `code`) naming what cannot be imported
 * @throws VerificationError where it computes other values than its test, or than one pass
 * @throws RequestError where the version exists
 */
export async function importNetwork(request: ImportRequest): Promise<Card> {
  const { engine, folder, name, version, onStep = () => {} } = request;
  if (request.channels !== undefined) checkNames(request.card, request.channels);
  const write = async (draft: string) => {
    onStep('deriving the geometry');
    const { channels, approximateSide, halo } = request;
    const found = await request.network.write(draft, engine, {
      ...(channels !== undefined && { channels }),
      ...(approximateSide !== undefined && { approximateSide }),
      ...(halo && { halo }),
    });
    request.check?.(found);
    const unverified = await cardOf(request, found);
    await writeCard(draft, unverified);
    const verified = await verify(draft, request, unverified, onStep);
    const complete: Card = { ...unverified, imported: { source: request.source, verification: verified } };
    await writeCard(draft, complete);
    return complete;
  };
  const card = await createFolder(folder, write).finally(() => rmdir(dirname(folder)).catch(() => undefined)); // if empty
  if (card === null) throw new RequestError('conflict', `the model ${name}/${version} exists already`);
  return card;
}

/** @throws RequestError for names of other channels than the network has */
function checkNames({ channels }: ImportedCard, inputChannels: number): void {
  if (channels === undefined || channels.length === inputChannels) return;
  throw new RequestError(
    'bad-request',
    `the network takes ${inputChannels} ${inputChannels === 1 ? 'channel' : 'channels'}, not the ${channels.length} that are named`,
  );
}

/** The card of a network that is not verified yet. @throws RequestError for what contradicts the network */
async function cardOf(request: ImportRequest, found: WrittenNetwork): Promise<Card> {
  const { engine, name, version, network, card, source } = request;
  const { geometry, inputChannels, outputChannels, parameters, features } = found;
  const { outputNames = null } = request;
  const isFirstBackground = outputNames?.[0]?.toLowerCase() === 'background';
  const named = card.classes?.length ?? (isFirstBackground ? outputNames!.length : undefined);
  const ending =
    found.ending === 'sigmoid' && haveOwnBackground(outputChannels, named) ? 'probabilities' : found.ending;
  checkNames(card, inputChannels);
  if (ending !== null && request.scores !== undefined && request.scores !== 'probabilities') {
    throw new RequestError(
      'bad-request',
      `the network ends in ${ending} itself, which ${request.scores} cannot follow`,
    );
  }
  const kind = request.scores ?? (outputChannels === 1 ? 'sigmoid' : 'softmax');
  const expected = classesOfScores(ending ?? kind, outputChannels);
  const classes = card.classes ?? classesNamed(outputNames, outputChannels, expected);
  if (classes.length !== expected) {
    const background = expected > outputChannels ? ', the background among them,' : '';
    const remedy =
      ending === 'sigmoid' && outputChannels > 1
        ? `; name ${outputChannels} where one of its sigmoids is the background's`
        : '';
    throw new RequestError(
      'bad-request',
      `the network distinguishes ${expected} classes${background} and ${classes.length} are named${remedy}`,
    );
  }
  return {
    name,
    version,
    description: card.description ?? `Imported from ${source}.`,
    architecture: { kind: network.kind, parameters, features, ...geometry },
    inputChannels,
    ...(card.channels && { channels: card.channels }),
    normalisation: card.normalisation ?? NORMALISATION,
    ...postprocessingOf(kind, ending, classes.length === 2 ? request.threshold : undefined),
    classes,
    ...(card.threshold !== undefined && { threshold: card.threshold }),
    micronsPerPixel: card.micronsPerPixel ?? null,
    data: card.data ?? {
      description: 'not known',
      citation: null,
      terms: 'not known',
      digest: 'none',
      split: {},
    },
    training: {
      command: 'unseam import',
      seed: 0,
      steps: 0,
      seconds: 0,
      ...deviceFacts(await engine.environment(), { lanes: 1, threads: engine.threads }),
    },
    scores: card.scores ?? {},
    weights: found.weights,
  };
}

/** What is left to be done to the output; nothing where the graph does it. */
function postprocessingOf(
  scores: ScoreKind,
  ending: ScoreKind | null,
  threshold: number | undefined,
): { postprocessing?: Postprocessing } {
  const postprocessing: Postprocessing = [];
  if (ending === null && scores !== 'probabilities') postprocessing.push({ step: scores });
  if (threshold !== undefined) postprocessing.push({ step: 'threshold', value: threshold });
  return postprocessing.length === 0 ? {} : { postprocessing };
}

/** Verifies a network in its draft. @throws VerificationError */
async function verify(
  draft: string,
  { engine, test, verifyServed }: ImportRequest,
  { inputChannels, architecture, training: { device } }: Card,
  onStep: (step: string) => void,
): Promise<Verification> {
  let tested: Verification['test'] = null;
  if (test) {
    onStep('computing its test tensor');
    const computed = await engine.compute(draft, test.input);
    const { height, width, channels, values } = test.output;
    if (computed.height !== height || computed.width !== width || computed.channels !== channels) {
      throw new VerificationError(
        `its test has an output of ${height} × ${width} px and ${channels} channels; the network returns ${computed.height} × ${computed.width} px and ${computed.channels} channels`,
      );
    }
    tested = checkTest(test.finish?.(computed) ?? computed.values, values, test.tolerance);
  }
  const model = await engine.load(draft);
  try {
    if (verifyServed) tested = await verifyServed(engine, model);
    if (!architecture.tileable) return { device, test: tested, tiles: null, outside: null };
    onStep('comparing tiles with one pass');
    const network: TestedNetwork = {
      geometry: model.geometry,
      predict: (batch, output, symmetries) => engine.predict(model.id, batch, output, { symmetries }),
    };
    const { tiles, outside } = await verifyTiles(network, inputChannels);
    if (tiles.differing + outside.differing > 0) {
      throw new VerificationError(
        `${tiles.differing} of ${tiles.values} values of tiles differ from one pass, and ${outside.differing} of ${outside.values} depend on px beyond the halo`,
      );
    }
    return { device, test: tested, tiles, outside };
  } finally {
    await engine.unload(model.id);
  }
}
