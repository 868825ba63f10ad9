import { z } from 'zod';
import type { TileGeometry } from './geometry.js';
import { NORMALISATION } from './pixels.js';
import type { UnetConfig } from './unet.js';

const margins = z.object({ top: z.int(), left: z.int(), bottom: z.int(), right: z.int() });
const hexColour = z.string().regex(/^#[0-9a-f]{6}$/);

/** The form of cards that are written: 1, without a number, knew no `normalisation` but that of the type. */
export const CARD_FORM = 2;

/** `card.json`: what a model is, what it was made of, and how well it does. */
export const cardSchema = z.object({
  form: z.int().min(1).max(CARD_FORM).optional(),
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/),
  version: z.int().min(1),
  description: z.string(),
  /** The network, as `UnetConfig` says it, and how it is tiled, as `TileGeometry` does. */
  architecture: z.object({
    kind: z.literal('unet'),
    channels: z.array(z.int().min(1)).min(2),
    decoderChannels: z.array(z.int().min(1)).min(1).optional(),
    head: z.enum(['softmax', 'sigmoid']).optional(),
    convolutions: z.union([z.literal(1), z.literal(2)]).optional(),
    padding: z.enum(['valid', 'same']).optional(),
    upConvolution: z.enum(['transposed', 'nearest']).optional(),
    batchNorm: z.boolean().optional(),
    dropout: z.number().optional(),
    outputSize: z.int().optional(),
    parameters: z.int(),
    halo: margins,
    padded: margins,
    multiple: z.int(),
    smallest: z.int(),
    tileable: z.boolean(),
  }),
  /** 1 gray, 3 RGB. */
  inputChannels: z.union([z.literal(1), z.literal(3)]),
  /** How stored values become intensities: by the range of their type, or by one that is the model's own. */
  normalisation: z.union([
    z.literal(NORMALISATION),
    z
      .object({
        /** The stored values that were black and white in training. */
        range: z.tuple([z.number(), z.number()]).refine(([low, high]) => low < high, 'low is not below high'),
        /** Of which type: `uint16`, `float32`, … */
        type: z.string().min(1),
      })
      .strict(),
  ]),
  /** By index; a colour of null is left clear in overlays. */
  classes: z.array(z.object({ name: z.string(), colour: hexColour.nullable() })).min(2),
  /** Of two classes: the probability of the second at which V_Rand is best on the images for validation. */
  threshold: z.number().gt(0).lt(1).optional(),
  /** Micrometres per pixel of the pictures that it learned from, if they are known. */
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
    /** By what the network that was kept was chosen, how good it was, and when; null for a loss that was no number. */
    best: z
      .object({
        monitor: z.string(),
        value: z.number().nullable(),
        epoch: z.int(),
        steps: z.int(),
      })
      .optional(),
  }),
  scores: z.record(z.string(), z.record(z.string(), z.number())),
  /** SHA-256 of `weights.bin`. */
  weights: z.object({ sha256: z.string(), bytes: z.int() }),
});

export type Card = z.infer<typeof cardSchema>;

/** The range of its own that a model learned with; undefined where it is that of the type. */
export function learntRange({ normalisation }: Pick<Card, 'normalisation'>): LearntRange | undefined {
  return normalisation === NORMALISATION ? undefined : normalisation;
}
type LearntRange = Exclude<Card['normalisation'], typeof NORMALISATION>;

/** How a card states a network. */
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

/** The network that a card states, to be built anew. */
export function unetOf({ architecture, inputChannels, classes }: Card, seed: number): UnetConfig {
  const { kind, parameters, halo, padded, multiple, smallest, tileable, ...options } = architecture;
  // zod says "or undefined" of what may be left out; a parsed card leaves it out
  return { ...(options as unknown as UnetConfig), inputChannels, classes: classes.length, seed };
}
