import { ModelChoiceError } from '../../model/errors.js';
import { type Card, normalisationOf, trainingRangeOf } from '../../model/shelf/card.js';
import { STORED_TYPES, type StoredType } from './test-image.js';

/** @throws ModelChoiceError for a network whose result depends on its tiles: a package is for images of any size */
export function checkTiles({ name, architecture }: Card): void {
  if (architecture.tileable) return;
  const reason =
    architecture.kind === 'unet' ? 'its network resizes its scores' : 'it was imported with --approximate';
  throw new ModelChoiceError(
    `${name} has tiles of ${architecture.smallest} px alone, since ${reason}, and a package is for images of any size: export its network alone, by --onnx FILE`,
  );
}

/** What a package's images store. */
export interface StoredValues {
  readonly type: StoredType;
  /** The values of black and white. */
  readonly range: readonly [low: number, high: number];
}

/** @throws ModelChoiceError for a normalisation that cannot be part of a graph, or is of another type */
export function storedValuesOf(card: Card, requested: StoredType | undefined): StoredValues {
  const [first, ...others] = normalisationOf(card);
  if (first?.step !== 'type-range' || others.length > 0) {
    throw new ModelChoiceError(
      `${card.name} normalises otherwise than by the range of intensities alone, which no package can have yet: export its network alone, by --onnx FILE, and keep the normalisation of its card.json with it`,
    );
  }
  const trained = trainingRangeOf(card);
  if (trained === undefined) {
    const type = requested ?? 'uint8';
    return { type, range: STORED_TYPES[type] };
  }
  const type = requested ?? trained.type;
  if (type === trained.type && Object.hasOwn(STORED_TYPES, type)) {
    return { type: type as StoredType, range: trained.range };
  }
  if (requested !== undefined) {
    throw new ModelChoiceError(
      `--type ${requested}: ${card.name} was trained with values of type ${trained.type}`,
    );
  }
  return { type: 'float32', range: trained.range }; // signed integers: floats have their values
}
