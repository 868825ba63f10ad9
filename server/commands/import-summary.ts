import { channelText } from '../../model/network/channel-text.js';
import type { Margins } from '../../model/network/geometry.js';
import { isTypeRange } from '../../model/network/normalisation.js';
import { kindFor, type ScoreKind } from '../../model/network/score-kind.js';
import { type Card, normalisationOf, scoresOf, trainingRangeOf } from '../../model/shelf/card.js';
import type { WrittenNetwork } from '../packages/network-source.js';

/** What `import` prints of a model. */
export interface ImportFacts {
  readonly card: Card;
  readonly network: WrittenNetwork;
  /** Whether neither the source nor an option says what the values of images become. */
  readonly assumesInput: boolean;
  /** Whether nothing says what the output is. */
  readonly assumesScores: boolean;
}

/** The summary of an import, in lines. */
export function summaryOf({ card, network, assumesInput, assumesScores }: ImportFacts): string[] {
  const { name, version, architecture, inputChannels, classes, imported } = card;
  const { tiles, outside, test } = imported!.verification;
  const values = (n: number) => n.toLocaleString('en');
  const input = inputText(card);
  const output =
    network.ending === null
      ? OUTPUTS[kindFor(scoresOf(card), network.outputChannels, classes.length)]
      : `the ${network.ending} in which its graph ends`;
  return [
    `${name}/${version}: ${values(architecture.parameters)} parameters, ${channelText(inputChannels)}, ${classes.length} classes`,
    `input: ${input}${assumesInput ? ' (assumed; if they are as stored: --normalisation none)' : ''}`,
    `output: ${output}${assumesScores ? ' (assumed; see --scores)' : ''}`,
    `classes: ${classes.map((each) => each.name).join(', ')}`,
    architecture.tileable ? exactText(card) : inexactText(card, network),
    ...(tiles ? [`verified: 0 of ${values(tiles.values)} values of tiles differ from one pass`] : []),
    ...(outside ? [`verified: px beyond the halo change none of ${values(outside.values)} values`] : []),
    ...(test ? [`its test: within its tolerance, the largest difference is ${test.largestDifference}`] : []),
  ];
}

const OUTPUTS: Readonly<Record<ScoreKind, string>> = {
  softmax: 'logits of a softmax',
  sigmoid: 'logits of a sigmoid',
  sigmoids: 'logits of sigmoids, the background among them',
  probabilities: 'probabilities',
};

function inputText(card: Card): string {
  const steps = normalisationOf(card);
  const trained = trainingRangeOf(card);
  const range = trained
    ? `${trained.range.join(' to ')} in ${trained.type}`
    : "the range of the image's type";
  if (isTypeRange(steps)) return `values from 0 to 1, by ${range}`;
  return steps.length === 0 ? 'values as they are stored' : steps.map(({ step }) => step).join(', ');
}

const marginsText = ({ top, left, bottom, right }: Margins): string => [top, left, bottom, right].join(', ');

function exactText({ architecture: { halo, smallest, multiple } }: Card): string {
  return `exact: a halo of ${marginsText(halo)} px (top, left, bottom, right), tiles of ${smallest} px and multiples of ${multiple} more`;
}

function inexactText(
  { architecture: { halo, smallest } }: Card,
  { reach, isOfOneSize }: Pick<WrittenNetwork, 'reach' | 'isOfOneSize'>,
): string {
  const edges = ['top', 'left', 'bottom', 'right'] as const;
  const isCut = edges.some((edge) => halo[edge] < reach[edge]);
  const cut = isCut
    ? `, of the ${marginsText(reach)} px that what is exact in it needs: larger tiles have more`
    : '';
  const size = isOfOneSize ? ', to which its file fixes images' : '';
  return `not exact: tiles of ${smallest} px alone${size}, with a halo of ${marginsText(halo)} px${cut}`;
}
