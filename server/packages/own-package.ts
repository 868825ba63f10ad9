import { PackageError } from '../../model/errors.js';
import { checkTest } from '../../model/exactness/verify-test-tensor.js';
import { parseNpy } from '../../model/exchange/npy.js';
import { cardSchema, ownThreshold } from '../../model/shelf/card.js';
import type { OwnFiles, PackageDescription } from './description.js';
import type { ImportSource } from './import-network.js';
import { onnxSource } from './network-source.js';
import type { PackageFiles } from './package-files.js';
import { parseBy, parseJson, readChecked } from './read-checked.js';
import { pixelsOf } from './test-image.js';
import { predictWholeImage } from './whole-image.js';

/**
 * Reads a package that this program has exported: its card says all, and its bare network is imported. The graph that
 * mirrors is for other programs.
 * @throws PackageError for what is damaged, missing, or contradicts itself
 */
export async function readOwnPackage(
  files: PackageFiles,
  { input, output }: Pick<PackageDescription, 'input' | 'output'>,
  own: OwnFiles,
): Promise<ImportSource> {
  const card = parseBy(
    cardSchema,
    parseJson(await readChecked(files, own.card), own.card.source),
    own.card.source,
  );
  const network = await readChecked(files, own.network);
  if (input.test === null || output.test === null) throw new PackageError('it has no test image');
  const image = parseNpy(await readChecked(files, input.test), input.test.source);
  const expected = parseNpy(await readChecked(files, output.test), output.test.source);
  const side = image.shape[1] ?? 0;
  if (image.shape.length !== 4 || image.shape[2] !== side || image.shape[3] !== card.inputChannels) {
    throw new PackageError(`${input.test.source} is not a square image of the channels of its card`);
  }
  const { description, classes, channels, normalisation, micronsPerPixel, data, threshold, scores } = card;
  const labelThreshold = ownThreshold(card);
  return {
    notes: [],
    network: onnxSource(network),
    channels: card.inputChannels,
    halo: card.architecture.halo,
    ownClasses: classes,
    scores: 'probabilities',
    ...(labelThreshold !== null && { threshold: labelThreshold }),
    card: {
      ...{ description, classes, normalisation, micronsPerPixel, data, scores },
      ...(channels && { channels }),
      ...(threshold !== undefined && { threshold }),
    },
    async verifyServed(engine, model) {
      const pixels = pixelsOf(own.storedType, image.data);
      return checkTest(
        await predictWholeImage(engine, model, pixels, { width: side, height: side }),
        expected.data,
      );
    },
  };
}
