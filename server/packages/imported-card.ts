import { deviceFacts } from '../../model/devices/environment.js';
import type { Engine } from '../../model/engine/engine.js';
import { otherChannels } from '../../model/network/channel-text.js';
import {
  activationOf,
  classesOfScores,
  haveOwnBackground,
  type ScoreKind,
} from '../../model/network/score-kind.js';
import type { Card, Postprocessing } from '../../model/shelf/card.js';
import { RequestError } from '../contract/errors.js';
import { classesNamed, isBackground, withBackground } from './class-names.js';
import type { WrittenNetwork } from './network-source.js';

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

/** What a card is made of, beside what is found of the network. */
export interface CardFacts {
  readonly name: string;
  readonly version: number;
  /** As the card states it, such as a file's name. */
  readonly source: string;
  readonly card: ImportedCard;
  /** What the output means, where the graph does not end in what says so. Default: logits. */
  readonly scores?: ScoreKind;
  /** Names of the output's channels, by which classes are named where the card does not. */
  readonly outputNames?: readonly string[] | null;
  /** The classes of a package that has a card of ours, which the network has already: `card` may name as many otherwise. */
  readonly ownClasses?: Card['classes'];
  /** Of two classes: the probability from which a px has the second. Default: the more probable class. */
  readonly threshold?: number;
}

/** A card, and what a user should know of what became of its facts. */
export interface DraftCard {
  readonly card: Card;
  readonly notes: readonly string[];
}

/** The card of a network that is not verified yet. @throws RequestError for what contradicts the network */
export async function cardOf(
  facts: CardFacts,
  kind: 'onnx' | 'layers',
  found: WrittenNetwork,
  engine: Engine,
): Promise<DraftCard> {
  const { name, version, card, source } = facts;
  const { geometry, inputChannels, parameters, features } = found;
  checkNames(card, inputChannels);
  const scores = scoresOf(facts, found);
  const classes = classesOf(facts, found, scores);
  checkClasses(classes);
  const isBinary = classes.length === 2;
  return {
    notes: facts.threshold !== undefined && !isBinary ? [BINARISED_CLASSES] : [],
    card: {
      name,
      version,
      description: card.description ?? `Imported from ${source}.`,
      architecture: { kind, parameters, features, ...geometry },
      inputChannels,
      ...(card.channels && { channels: card.channels }),
      normalisation: card.normalisation ?? [{ step: 'type-range' }],
      ...postprocessingOf(found.ending === null ? scores : null, isBinary ? facts.threshold : undefined),
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
    },
  };
}

const BINARISED_CLASSES =
  'its step binarize is left out: of more than two classes, each px has the most probable one';

/** @throws RequestError for names of other channels than the network has */
export function checkNames({ channels }: ImportedCard, inputChannels: number): void {
  if (channels === undefined || channels.length === inputChannels) return;
  throw new RequestError('bad-request', otherChannels(inputChannels, channels.length));
}

/** What the output is. @throws RequestError for what it cannot be */
function scoresOf(
  { card, ownClasses, outputNames, scores: stated }: CardFacts,
  { ending, outputChannels }: Pick<WrittenNetwork, 'ending' | 'outputChannels'>,
): ScoreKind {
  const refuse = (reason: string): never => {
    throw new RequestError('bad-request', reason);
  };
  if (ending !== null && stated !== undefined && stated !== 'probabilities') {
    refuse(`the network ends in ${ending} itself, which ${stated} cannot follow`);
  }
  const kind = ending ?? stated ?? (outputChannels === 1 ? 'sigmoid' : 'softmax');
  if (kind === 'softmax' && outputChannels === 1) {
    refuse(
      ending === null
        ? '--scores softmax: the network returns one channel, whose softmax is always 1: expected sigmoid, or probabilities'
        : 'the network ends in a softmax of one channel, which is always 1: export it without that',
    );
  }
  if (kind !== 'sigmoid') return kind;
  const names = card.classes?.map(({ name }) => name) ?? outputNames ?? [];
  const saysSo = isBackground(names[0]) || isBackground(outputNames?.[0]) || ownClasses !== undefined;
  const isOwn = saysSo && haveOwnBackground(outputChannels, ownClasses?.length ?? names.length);
  if (!isOwn) return kind;
  return ending === null ? 'sigmoids' : 'probabilities';
}

/** The classes that a network distinguishes. @throws RequestError where others are named */
function classesOf(
  { card, ownClasses, outputNames = null }: CardFacts,
  { outputChannels }: Pick<WrittenNetwork, 'outputChannels'>,
  scores: ScoreKind,
): Card['classes'] {
  const named = card.classes;
  const refuse = (reason: string): never => {
    throw new RequestError('bad-request', reason);
  };
  if (ownClasses !== undefined && named !== undefined && named.length !== ownClasses.length) {
    const names = ownClasses.map(({ name }) => name).join(', ');
    refuse(`the package has ${ownClasses.length} classes (${names}), and ${named.length} are named`);
  }
  const expected = classesOfScores(scores, outputChannels);
  if (named === undefined) return classesNamed(outputNames, outputChannels, expected);
  if (named.length === expected) return named;
  // as many as it has channels, beside a background that has none
  const areChannels = named.length === outputChannels && expected > outputChannels;
  if (areChannels && !isBackground(named[0]?.name)) return withBackground(named);
  const background = expected > outputChannels ? ', the background among them,' : '';
  const remedy =
    scores === 'sigmoid' && outputChannels > 1
      ? `; name ${outputChannels}, background the first, where one of its sigmoids is the background's`
      : '';
  return refuse(
    `the network distinguishes ${expected} classes${background} and ${named.length} are named${remedy}`,
  );
}

/** @throws RequestError for two classes of one name */
function checkClasses(classes: Card['classes']): void {
  const names = classes.map(({ name }) => (isBackground(name) ? 'background' : name));
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined) return;
  const remedy = isBackground(twice)
    ? "where one of several sigmoids is the background's, it has to be the first; else give it another name by --classes"
    : 'name them by --classes';
  throw new RequestError('bad-request', `two classes would be named "${twice}": ${remedy}`);
}

/** What is left to be done to the output; nothing where the graph does it. */
function postprocessingOf(
  scores: ScoreKind | null,
  threshold: number | undefined,
): { postprocessing?: Postprocessing } {
  const postprocessing: Postprocessing = [];
  const step = scores === null ? null : activationOf(scores);
  if (step !== null) postprocessing.push({ step });
  if (threshold !== undefined) postprocessing.push({ step: 'threshold', value: threshold });
  return postprocessing.length === 0 ? {} : { postprocessing };
}
