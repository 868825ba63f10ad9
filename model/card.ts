import { z } from 'zod';
import { NORMALISATION } from './normalize.js';

const hexColour = z.string().regex(/^#[0-9a-f]{6}$/);

/** `card.json`: what a model is, what it was made of, and how well it does. */
export const cardSchema = z.object({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/),
  version: z.int().min(1),
  description: z.string(),
  architecture: z.object({
    kind: z.literal('unet'),
    channels: z.array(z.int().min(1)).min(2),
    parameters: z.int(),
    /** Input px lost on each side, the phase of the poolings, and the smallest tile: all in px. */
    halo: z.int(),
    multiple: z.int(),
    smallest: z.int(),
  }),
  /** 1 gray, 3 RGB. */
  inputChannels: z.union([z.literal(1), z.literal(3)]),
  normalisation: z.literal(NORMALISATION),
  /** By index; a colour of null is left clear in overlays. */
  classes: z.array(z.object({ name: z.string(), colour: hexColour.nullable() })).min(2),
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
  }),
  scores: z.record(z.string(), z.record(z.string(), z.number())),
  /** SHA-256 of `weights.bin`. */
  weights: z.object({ sha256: z.string(), bytes: z.int() }),
});

export type Card = z.infer<typeof cardSchema>;
