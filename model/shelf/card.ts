import { z } from 'zod';
import { ModelChoiceError } from '../errors.js';
import type { TileGeometry } from '../network/geometry.js';
import {
  isTypeRange,
  MAX_INPUT_CHANNELS,
  type Normalisation,
  normalisationStep,
  problemOfSteps,
} from '../network/normalisation.js';
import { NORMALISATION } from '../network/pixels.js';
import type { ScoreKind } from '../network/score-kind.js';
import type { UnetConfig } from '../network/unet.js';
import { namedChannels } from './named-channels.js';

const margins = z.object({ top: z.int(), left: z.int(), bottom: z.int(), right: z.int() });
const hexColour = z.string().regex(/^#[0-9a-f]{6}$/);

/** Options of `UnetConfig`, as cards and settings of trainings store them. */
export const unetOptions = {
  head: z.enum(['softmax', 'sigmoid']).exactOptional(),
  convolutions: z.union([z.literal(1), z.literal(2)]).exactOptional(),
  padding: z.enum(['valid', 'same']).exactOptional(),
  upConvolution: z.enum(['transposed', 'nearest']).exactOptional(),
  batchNorm: z.boolean().exactOptional(),
  dropout: z.number().exactOptional(),
};

/**
 * Format version of the cards that are written here, stored as `form`. Version 1 did not state itself; its intensities
 * are those of the type. Version 2 has a range of the training images; both take gray or RGB. Version 3 has named
 * channels, normalisation as a list, and networks that were imported.
 */
export const CARD_FORMAT_VERSION = 3;

/** What tiles, memory and listings need of a network, whatever it is. */
const network = {
  parameters: z.int(),
  halo: margins,
  padded: margins,
  multiple: z.int(),
  smallest: z.int(),
  tileable: z.boolean(),
};

/** A network that was imported: an ONNX graph, or TensorFlow.js layers that unseam did not build. */
const imported = {
  ...network,
  /** Channels that its feature maps at the scale of the image have, at most: memory is estimated by them. */
  features: z.int().min(1),
};

/** From a network's output to probabilities: what its own last layers leave to be done. */
const postprocessingStep = z.union([
  z.strictObject({ step: z.literal('softmax') }),
  z.strictObject({ step: z.literal('sigmoid') }),
  /** The probability from which a pixel has a class other than the first. */
  z.strictObject({ step: z.literal('threshold'), value: z.number().gt(0).lt(1) }),
]);
const postprocessing = z
  .array(postprocessingStep)
  .refine(
    (steps) => /^(softmax|sigmoid)?(threshold)?$/.test(steps.map(({ step }) => step).join('')),
    'expected softmax or sigmoid, and threshold behind it',
  );
/** From a network's output to probabilities and labels. */
export type Postprocessing = z.infer<typeof postprocessing>;

/** Values that were compared, and those whose bits differ. */
const compared = z.object({ values: z.int().min(0), differing: z.int().min(0) });
/** How an imported network was verified, on a device. */
export const verification = z.object({
  device: z.string(),
  /** The test tensor that came with it: the largest difference, and values beyond its tolerance; null for none. */
  test: z.object({ values: z.int(), mismatches: z.int(), largestDifference: z.number() }).nullable(),
  /** Tiles of two shapes, at three places each, with one pass over the whole image; null where there is one tile size. */
  tiles: compared.nullable(),
  /** The same px of an image with others outside of the halo. */
  outside: compared.nullable(),
});
export type Verification = z.infer<typeof verification>;

const scores = z.record(z.string(), z.record(z.string(), z.number()));

/** The name of a model, which is that of its folder. */
export const modelNameSchema = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9-]{0,63}$/,
    "a model's name has up to 64 lowercase letters, digits and hyphens, and no hyphen in front",
  );

/** `card.json`: what a model is, how it was trained, and how well it scores. */
export const cardSchema = z
  .object({
    form: z.int().min(1).max(CARD_FORMAT_VERSION).optional(),
    name: modelNameSchema,
    /** A number, or that of the version that it quantises, such as `1-int8`. */
    version: z.union([z.int().min(1), z.string().regex(/^[1-9]\d{0,8}-int8$/)]),
    description: z.string(),
    /** The network, as in `UnetConfig` where it is one, and its tiling, as in `TileGeometry`. */
    architecture: z.discriminatedUnion('kind', [
      z.object({
        kind: z.literal('unet'),
        channels: z.array(z.int().min(1)).min(2),
        decoderChannels: z.array(z.int().min(1)).min(1).exactOptional(),
        ...unetOptions,
        outputSize: z.int().exactOptional(),
        ...network,
      }),
      z.object({ kind: z.literal('onnx'), ...imported }),
      z.object({ kind: z.literal('layers'), ...imported }),
    ]),
    /** Channels of the network's input. Without names, 1 is gray and 3 are RGB. */
    inputChannels: z.int().min(1).max(MAX_INPUT_CHANNELS),
    /** The channels by name, in the order in which the network takes them; none where they are gray or colours. */
    channels: namedChannels.optional(),
    /**
     * How stored values become the network's input: a list of steps, which is empty for values as they are stored. Forms 1
     * and 2 had `type-range` alone, by the range of the type or by the model's own.
     */
    normalisation: z.union(
      [
        z.array(normalisationStep).max(16),
        z.literal(NORMALISATION),
        z
          .object({
            /** The stored values of black and white in training. */
            range: z
              .tuple([z.number(), z.number()])
              .refine(([low, high]) => low < high, 'low is not below high'),
            /** Their type: `uint16`, `float32`, … */
            type: z.string().min(1),
          })
          .strict(),
      ],
      'expected a list of steps',
    ),
    /** What is left to be done to the network's output, in this order. Default: its own last layer does it. */
    postprocessing: postprocessing.optional(),
    /** By index; a colour of null is transparent in overlays. */
    classes: z.array(z.object({ name: z.string(), colour: hexColour.nullable() })).min(2),
    /** For two classes: the probability of the second at which V_Rand is best on the validation images. */
    threshold: z.number().gt(0).lt(1).optional(),
    /** Micrometres per pixel of the training images; null where unknown. */
    micronsPerPixel: z.number().positive().nullable(),
    data: z.object({
      description: z.string(),
      citation: z.string().nullable(),
      terms: z.string(),
      digest: z.string(),
      split: z.record(z.string(), z.array(z.string())),
    }),
    training: z.object({
      command: z.string(),
      seed: z.int(),
      steps: z.int(),
      seconds: z.number(),
      device: z.string(),
      versions: z.record(z.string(), z.string()),
      /** By which score the network was selected, its value, and when; null for a loss that was not finite. */
      best: z
        .object({
          monitor: z.string(),
          value: z.number().nullable(),
          epoch: z.int(),
          steps: z.int(),
        })
        .optional(),
    }),
    scores,
    /** How a quantised version was made of another one; its ranges are in `quantisation.json`. */
    quantisation: z
      .object({
        /** SHA-256 of `quantisation.json`. */
        sha256: z.string(),
        /** The images whose values gave the ranges, and of how many tiles. */
        calibration: z.object({ images: z.array(z.string()), tiles: z.int() }),
        /** The share of pixels with the label of the original, and on which images. */
        agreement: z.object({ images: z.array(z.string()), share: z.number() }),
        /** The original's scores, on the images of `scores`. */
        original: scores,
      })
      .optional(),
    /** Of an imported network: where it comes from, and what was verified when it was imported. */
    imported: z
      .object({
        /** As it was given, such as a file's name. */
        source: z.string(),
        verification,
      })
      .optional(),
    /** SHA-256 of `weights.bin`, or of `model.onnx`. */
    weights: z.object({ sha256: z.string(), bytes: z.int() }),
  })
  .refine(({ version, quantisation }) => (typeof version === 'string') === (quantisation !== undefined), {
    path: ['quantisation'],
    error: 'expected in versions such as 1-int8, and in no others',
  })
  .refine(({ inputChannels, channels = [] }) => channels.length === 0 || channels.length === inputChannels, {
    path: ['channels'],
    error: 'expected as many as inputChannels',
  })
  .superRefine(({ inputChannels, normalisation }, context) => {
    if (!Array.isArray(normalisation)) return;
    const problem = problemOfSteps(normalisation, inputChannels);
    if (problem === null) return;
    const path = ['normalisation', ...problem.path];
    context.addIssue({ code: 'custom', path, message: problem.reason });
  });

export type Card = z.infer<typeof cardSchema>;

/** How stored values become a network's input, whatever the form of its card. */
export function normalisationOf({ normalisation }: Pick<Card, 'normalisation'>): Normalisation {
  if (Array.isArray(normalisation)) return normalisation;
  return [{ step: 'type-range', ...(normalisation !== NORMALISATION && { trained: normalisation }) }];
}

/** The model's own range of stored values; undefined where it is that of their type, or another kind of normalisation. */
export function trainingRangeOf(card: Pick<Card, 'normalisation'>): TrainingRange | undefined {
  const [first] = normalisationOf(card);
  return first?.step === 'type-range' ? first.trained : undefined;
}
type TrainingRange = Exclude<Card['normalisation'], typeof NORMALISATION | readonly unknown[]>;

/**
 * Whether tiles are fed with a scale: the channels that it has, for graphs that read one; none where values are divided
 * by the maximum of their type, as they are.
 */
export function scaledOf(card: Pick<Card, 'normalisation' | 'inputChannels'>): { readonly scaled?: number } {
  return isTypeRange(normalisationOf(card)) ? {} : { scaled: card.inputChannels };
}

/** The probability from which a pixel has the second of two classes, unless requested otherwise; null for the greater one. */
export function ownThreshold({
  postprocessing = [],
  classes,
}: Pick<Card, 'postprocessing' | 'classes'>): number | null {
  const last = postprocessing.at(-1);
  return last?.step === 'threshold' && classes.length === 2 ? last.value : null;
}

/** What the output of an imported network means: what is left to be done to it. */
export function scoresOf({ postprocessing = [] }: Pick<Card, 'postprocessing'>): ScoreKind {
  const [first] = postprocessing;
  return first === undefined || first.step === 'threshold' ? 'probabilities' : first.step;
}

/** Channels of a network's feature maps at the scale of the image. */
export function featuresOf({ architecture }: Pick<Card, 'architecture'>): number {
  return 'channels' in architecture ? architecture.channels[0]! : architecture.features;
}

/** Describes a network as a card does. */
export function architectureOf(
  unet: UnetConfig,
  parameters: number,
  geometry: TileGeometry,
): Card['architecture'] {
  const {
    seed: _seed,
    inputChannels: _input,
    classes: _classes,
    channels,
    decoderChannels,
    ...options
  } = unet;
  const lists = {
    channels: [...channels],
    ...(decoderChannels && { decoderChannels: [...decoderChannels] }),
  };
  return { kind: 'unet', ...lists, ...options, parameters, ...geometry };
}

/**
 * The configuration of the network that a card describes.
 * @throws ModelChoiceError for a network that was imported
 */
export function unetOf({ name, architecture, inputChannels, classes }: Card, seed: number): UnetConfig {
  if (architecture.kind !== 'unet') {
    throw new ModelChoiceError(
      `model ${name} was imported: only networks that unseam has built can be trained further`,
    );
  }
  const { kind, parameters, halo, padded, multiple, smallest, tileable, ...options } = architecture;
  return { ...options, inputChannels, classes: classes.length, seed };
}
