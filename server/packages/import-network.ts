import { rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Engine, EngineModel } from '../../model/engine/engine.js';
import type { InspectedOnnx, NetworkTensor } from '../../model/engine/engine-methods.js';
import { hasCode, ModelChoiceError, VerificationError } from '../../model/errors.js';
import type { TestedNetwork } from '../../model/exactness/self-test.js';
import { checkTest, type TestTolerance } from '../../model/exactness/verify-test-tensor.js';
import { verifyTiles } from '../../model/exactness/verify-tiles.js';
import type { Margins } from '../../model/network/geometry.js';
import type { Card, Verification } from '../../model/shelf/card.js';
import { writeCard } from '../../model/shelf/model-files.js';
import { RequestError } from '../contract/errors.js';
import { createFolder } from '../storage/draft-folder.js';
import { type CardFacts, cardOf, checkNames } from './imported-card.js';
import type { NetworkSource, WrittenNetwork } from './network-source.js';
import { doubtOfScores } from './score-range.js';

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
    | 'ownClasses'
    | 'threshold'
    | 'test'
    | 'check'
    | 'verifyServed'
  > {
  /** What a user should know of it. */
  readonly notes: readonly string[];
}

export interface ImportRequest extends CardFacts {
  readonly engine: Engine;
  /** The folder of its version, which must not exist. */
  readonly folder: string;
  readonly network: NetworkSource;
  /** Channels of the image, where the file leaves them open. */
  readonly channels?: number;
  /** The halo of its tiles as they have been served. Default: that with which they begin as a pass over the image alone. */
  readonly halo?: Margins;
  readonly test?: NetworkTest;
  /** Refuses what is found of the network, where its package says otherwise. */
  readonly check?: (found: InspectedOnnx) => void;
  /** Verifies more, of the model as it is served. */
  readonly verifyServed?: (engine: Engine, model: EngineModel) => Promise<Verification['test']>;
  /** Accepts a network that is not exact, with tiles of this side alone, in px. Default: it is refused. */
  readonly approximateSide?: number;
  /** Called before each step, with what it is. */
  readonly onStep?: (step: string) => void;
  /** Called with what is found of the network. */
  readonly onFound?: (network: WrittenNetwork) => void;
  /** Called with what a user should know. */
  readonly onNote?: (note: string) => void;
}

/**
 * Imports somebody else's network as a model: derives its geometry, verifies it on this device, and writes its folder,
 * whole or not at all. One that is exact has tiles of all sizes, also where it would be accepted with one.
 * @throws OnnxFileError, UnsupportedNodeError, InexactModelError (by `code`) naming what cannot be imported
 * @throws VerificationError where it computes other values than its test, or than one pass
 * @throws RequestError where the version exists; ModelChoiceError for layers in tiles of one size
 */
export async function importNetwork(request: ImportRequest): Promise<Card> {
  const { approximateSide, network } = request;
  if (request.channels !== undefined) checkNames(request.card, request.channels);
  if (approximateSide === undefined) return importAs(request, null);
  if (network.kind === 'layers') {
    throw new ModelChoiceError('--approximate is for ONNX: convert the network to that first, by tf2onnx');
  }
  try {
    const card = await importAs(request, null);
    request.onNote?.('--approximate was not needed: the network is exact, and has tiles of all sizes');
    return card;
  } catch (error) {
    if (!hasCode(error, 'inexact-model', 'verification-failed')) throw error;
    return importAs(request, approximateSide);
  }
}

/** @param approximateSide of its tiles; null for one that has to be exact */
async function importAs(request: ImportRequest, approximateSide: number | null): Promise<Card> {
  const { engine, folder, name, version, network, channels, halo } = request;
  const { onStep = () => {}, onFound, onNote } = request;
  const write = async (draft: string) => {
    onStep('deriving the geometry');
    const found = await network.write(draft, engine, {
      ...(channels !== undefined && { channels }),
      ...(approximateSide !== null && { approximateSide }),
      ...(halo && { halo }),
    });
    request.check?.(found);
    const { card: unverified, notes } = await cardOf(request, network.kind, found, engine);
    await writeCard(draft, unverified);
    const verified = await verify(draft, request, unverified, onStep);
    const complete: Card = { ...unverified, imported: { source: request.source, verification: verified } };
    await writeCard(draft, complete);
    const doubt =
      found.ending === null ? await doubtOfScores(draft, engine, complete, found.outputChannels) : null;
    onFound?.(found);
    for (const note of doubt === null ? notes : [...notes, doubt]) onNote?.(note);
    return complete;
  };
  const card = await createFolder(folder, write).finally(() => rmdir(dirname(folder)).catch(() => undefined)); // if empty
  if (card === null) throw new RequestError('conflict', `the model ${name}/${version} exists already`);
  return card;
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
