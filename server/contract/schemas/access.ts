import { z } from 'zod';
import { SCOPES } from '../scopes.js';
import { type Described, time } from './values.js';

const DAY_MS = 24 * 3600_000;
const UNITS: Readonly<Record<string, number>> = { d: DAY_MS, h: 3600_000, m: 60_000 };
/** Longer is `never`. */
const MAX_DAYS = 3650;

const LIFETIME = 'must be never, or a lifetime such as 90d, 12h or 30m, of at most ten years';
const scopes = z
  .array(z.enum(SCOPES))
  .min(1)
  .describe('what it allows; `segment` and `train` include `read`, and `admin` includes all');
const name = z
  .string()
  .regex(/^[^\p{C}]{1,100}$/u, 'must have 1 to 100 characters, none of them a control character')
  .describe('for people, in lists and in the audit log');

const SLIDES = 'must be a path within the folder of slides, such as lab-a or lab-a/2026';
const slides = z
  .string()
  .max(500, SLIDES)
  .regex(/^[^\p{C}\\]+$/u, SLIDES)
  .refine((path) => !path.startsWith('/') && !path.split('/').includes('..'), SLIDES)
  .describe('the part of the folder of slides that it may read, relative to that folder');

/** How long a token is valid, in ms; null for ever. */
export const lifetimeSchema = z
  .string()
  .regex(/^(never|[1-9]\d{0,5}[dhm])$/, LIFETIME)
  .transform((text) => (text === 'never' ? null : Number(text.slice(0, -1)) * UNITS[text.at(-1)!]!))
  .refine((ms) => ms === null || ms <= MAX_DAYS * DAY_MS, LIFETIME)
  .describe('`never`, or a lifetime such as `90d` or `12h`');

/** How long a token is valid, unless its maker says otherwise. */
export const DEFAULT_LIFETIME = '90d';

/** The body of a request for a token. */
export const tokenRequestSchema = z.strictObject({
  name,
  scopes,
  slides: slides.optional(),
  expires: lifetimeSchema.prefault(DEFAULT_LIFETIME),
});

/** A token as its makers see it, without its secret. */
export const tokenViewSchema = z
  .object({
    id: z.string(),
    name,
    scopes,
    slides: slides
      .nullable()
      .describe('the part of the folder of slides that it may read; null for all of it'),
    createdAt: time,
    expiresAt: time.nullable().describe('null for never'),
    revokedAt: time.nullable().describe('null for one that was not revoked'),
  })
  .describe('a token, without its secret');
export type TokenView = Described<typeof tokenViewSchema>;

/** The response to who makes a token. */
export const newTokenSchema = tokenViewSchema
  .extend({ token: z.string().describe('what its bearer presents; it is not stored, and never shown again') })
  .describe('a token that was just made, with its secret');
export type NewToken = Described<typeof newTokenSchema>;

export const tokenListSchema = z
  .object({ tokens: z.array(tokenViewSchema).describe('the oldest first; expired and revoked ones, too') })
  .describe('all tokens');

/** Who sends a request. */
export const sessionSchema = z
  .object({
    id: z.string().describe('the owner of what it makes: `everyone`, or that of a token'),
    name: z.string(),
    scopes: z.array(z.enum(SCOPES)),
    expiresAt: time.nullable().describe('when its token expires; null for never'),
    needsToken: z.boolean().describe('whether this server refuses requests without a token'),
  })
  .describe('who sends the request');
export type Session = Described<typeof sessionSchema>;
