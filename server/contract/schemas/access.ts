import { z } from 'zod';
import { SCOPES } from '../scopes.js';
import { type Described, time } from './values.js';

/** Ids of tokens, which are names of files, too: on any file system. */
export const TOKEN_ID = /^[0-9a-z]{12}$/;

const DAY_MS = 24 * 3600_000;
const UNITS: Readonly<Record<string, number>> = { d: DAY_MS, h: 3600_000, m: 60_000 };

const LIFETIME = 'must be never, or a lifetime such as 90d, 12h or 30m, of at most ten years';
const scopes = z
  .array(z.enum(SCOPES))
  .min(1)
  .describe('what it allows; `segment` and `train` include `read`, and `admin` includes all');
const NAMED = 'must have 1 to 100 characters, none of them a control character';
/** Control characters, invisible ones, and those that change the direction of text. */
const HIDDEN = String.raw`\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff`;
const name = z
  .string()
  .regex(new RegExp(`^[^${HIDDEN}]{1,100}$`, 'u'), NAMED)
  .refine((text) => !/\p{Cs}/u.test(text), NAMED)
  .describe('for people, in lists and in the audit log');

const SLIDES = 'must be a path within the folder of slides, such as lab-a or lab-a/2026';
const slides = z
  .string()
  .max(500, SLIDES)
  .regex(new RegExp(String.raw`^(?!/)(?!(?:.*/)?\.\.(?:/|$))[^\\${HIDDEN}]+$`, 'u'), SLIDES)
  .refine((path) => !/\p{Cs}/u.test(path), SLIDES)
  .describe('the part of the folder of slides that it may read, relative to that folder');

/** Maximum validity of a token: 3,650 days, or 87,600 hours. */
const LIFETIMES =
  /^(never|([1-9]\d{0,2}|[12]\d{3}|3[0-5]\d\d|36[0-4]\d|3650)d|([1-9]\d{0,3}|[1-7]\d{4}|8[0-6]\d{3}|87[0-5]\d\d|87600)h|[1-9]\d{0,5}m)$/;

/** Validity of a token in ms; null for no expiry. */
const lifetimeSchema = z
  .string()
  .regex(LIFETIMES, LIFETIME)
  .transform((text) => (text === 'never' ? null : Number(text.slice(0, -1)) * UNITS[text.at(-1)!]!))
  .describe('`never`, or a lifetime such as `90d` or `12h`');

/** Default validity of a token. */
export const DEFAULT_LIFETIME = '90d';

/** The body of a request for a token. */
export const tokenRequestSchema = z.strictObject({
  name,
  scopes,
  slides: slides.optional(),
  expires: lifetimeSchema.prefault(DEFAULT_LIFETIME),
});

/** A token as admins see it, without its secret. */
export const tokenViewSchema = z
  .object({
    id: z.string().regex(TOKEN_ID),
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

/** The response with a new token. */
export const newTokenSchema = tokenViewSchema
  .extend({ token: z.string().describe('what its bearer presents; it is not stored, and never shown again') })
  .describe('a token that was just made, with its secret');
export type NewToken = Described<typeof newTokenSchema>;

export const tokenListSchema = z
  .object({
    tokens: z.array(tokenViewSchema).describe('the oldest first; expired and revoked ones, too'),
    unreadable: z
      .array(z.object({ id: z.string(), reason: z.string() }))
      .describe('tokens whose records are damaged: they admit nobody, and can be revoked'),
  })
  .describe('all tokens');
export type TokenList = Described<typeof tokenListSchema>;
export type UnreadableToken = TokenList['unreadable'][number];

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
