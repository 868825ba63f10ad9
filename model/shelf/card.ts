import { z } from 'zod';
import type { TileGeometry } from '../network/geometry.js';
import { NORMALISATION } from '../network/pixels.js';
import type { UnetConfig } from '../network/unet.js';

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
 * are those of the type.
 */
export const CARD_FORMAT_VERSION = 2;

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
    /** The network, as in `UnetConfig`, and its tiling, as in `TileGeometry`. */
    architecture: z.object({
      kind: z.literal('unet'),
      channels: z.array(z.int().min(1)).min(2),
      decoderChannels: z.array(z.int().min(1)).min(1).exactOptional(),
      ...unetOptions,
      outputSize: z.int().exactOptional(),
      parameters: z.int(),
      halo: margins,
      padded: margins,
      multiple: z.int(),
      smallest: z.int(),
      tileable: z.boolean(),
    }),
    /** 1 for gray, 3 for RGB. */
    inputChannels: z.union([z.literal(1), z.literal(3)]),
    /** How stored values become intensities: by the range of their type, or by the model's own range. */
    normalisation: z.union([
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
    ]),
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
    /** SHA-256 of `weights.bin`. */
    weights: z.object({ sha256: z.string(), bytes: z.int() }),
  })
  .refine(({ version, quantisation }) => (typeof version === 'string') === (quantisation !== undefined), {
    path: ['quantisation'],
    error: 'expected in versions such as 1-int8, and in no others',
  });

export type Card = z.infer<typeof cardSchema>;

/** The model's own range of stored values; undefined where it is that of their type. */
export function trainingRangeOf({ normalisation }: Pick<Card, 'normalisation'>): TrainingRange | undefined {
  return normalisation === NORMALISATION ? undefined : normalisation;
}
type TrainingRange = Exclude<Card['normalisation'], typeof NORMALISATION>;

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

/** The configuration of the network that a card describes. */
export function unetOf({ architecture, inputChannels, classes }: Card, seed: number): UnetConfig {
  const { kind, parameters, halo, padded, multiple, smallest, tileable, ...options } = architecture;
  return { ...options, inputChannels, classes: classes.length, seed };
}
