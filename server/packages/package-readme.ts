import type { ExportedModel } from '../../model/exchange/export-model.js';
import type { Card } from '../../model/shelf/card.js';

interface ReadmeFacts {
  readonly type: string;
  readonly range: readonly [low: number, high: number];
  readonly side: number;
  readonly exported: Pick<ExportedModel, 'layers' | 'shortestSide'>;
  readonly largestDifference: number;
}

/** The documentation of a package. */
export function readmeOf(
  card: Card,
  { type, range, side, exported, largestDifference }: ReadmeFacts,
): string {
  const { classes, data, scores, architecture, threshold } = card;
  const { halo, multiple } = architecture;
  const sections = [
    `# ${card.name}, version ${card.version}`,
    card.description,
    '## Use',
    `The input is an image of stored values of type ${type}, ${range[0]} for black and ${range[1]} for white, as floats: ` +
      '`[batch, y, x, channel]`. The network normalises them, mirrors the image at its borders and returns the ' +
      `probability of each class for each pixel. Images are at least ${exported.shortestSide} px long and wide.`,
    `A tile of a larger image agrees with the whole image where it has ${halo.top}, ${halo.left}, ${halo.bottom} and ` +
      `${halo.right} px around it (top, left, bottom, right), which are cut off, and begins at a multiple of ${multiple} px.`,
    ...(exported.layers ? [`The weights for TensorFlow.js take images of ${side} × ${side} px.`] : []),
    '## Classes',
    classes.map(({ name }, i) => `- ${i}: ${name}`).join('\n'),
    ...(threshold === undefined
      ? []
      : [`The best threshold for the probability of ${classes[1]!.name} is ${threshold}.`]),
    '## Training data',
    [data.description, data.citation ?? '', data.terms].filter((text) => text !== '').join('\n\n'),
    '## Validation',
    scoresOf(scores),
    '`test_output.npy` is what unseam computes of `test_input.npy`. ' +
      (largestDifference === 0
        ? 'ONNX Runtime computes the same bits of `weights.onnx`, on the machine that has written this.'
        : `ONNX Runtime differs from it by ${largestDifference.toExponential(1)} at most.`),
  ];
  return `${sections.filter((text) => text !== '').join('\n\n')}\n`;
}

function scoresOf(scores: Card['scores']): string {
  const rows = Object.entries(scores).flatMap(([set, values]) =>
    Object.entries(values).map(([name, value]) => `| ${set} | ${name} | ${value} |`),
  );
  if (rows.length === 0) return 'It was not scored.';
  return ['| images | score | value |', '| --- | --- | --- |', ...rows].join('\n');
}
