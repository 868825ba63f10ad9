import { type Card, trainingRangeOf } from '../../../model/shelf/card.js';
import type { Dataset } from '../data/dataset.js';
import type { Split } from '../data/split.js';

/** The lines that are printed before a training: number and size of the images, class shares, notes, the split. */
export function summaryOf(dataset: Dataset, split: Split, classes: Card['classes']): string[] {
  const { pairs, intensities, normalisation, warnings } = dataset;
  const frequencies = dataset.frequenciesOf(pairs);
  const total = frequencies.reduce((sum, n) => sum + n, 0);
  const shares = classes.map(({ name }, c) => `${name} ${((100 * frequencies[c]!) / total).toFixed(1)} %`);
  const px = pairs.reduce((sum, { image: { size } }) => sum + size.width * size.height, 0);
  const sizes = [...new Set(pairs.map(({ image: { size } }) => `${size.width}×${size.height}`))];
  const listed =
    sizes.length > 4 ? `${sizes.slice(0, 3).join(', ')} and ${sizes.length - 3} more` : sizes.join(', ');
  const { channels } = pairs[0]!.image.facts;
  const kind = `${{ 1: 'gray', 3: 'RGB' }[channels] ?? `${channels} channels`}, ${intensities.join(' to ')}`;
  const lines = [
    `${pairs.length} images, ${(px / 1e6).toFixed(1)} Mpx (${listed}; ${kind}): ${shares.join(', ')}`,
  ];
  const trained = trainingRangeOf({ normalisation });
  if (trained) {
    const [black, white] = trained.range;
    lines.push(`black is ${black}, white is ${white} (${trained.type})`);
  }
  for (const warning of warnings) lines.push(`  note: ${warning}, or --range auto`);
  for (const [c, { name }] of classes.entries()) {
    if (frequencies[c] === 0) lines.push(`  note: no label has the class ${name}: check its value or colour`);
  }
  const { training, validation, test } = split;
  lines.push(
    `${training.length} for training, ${validation.length} for validation, ${test.length} for testing`,
  );
  return lines;
}
