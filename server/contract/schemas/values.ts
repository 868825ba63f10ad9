import { z } from 'zod';

/** Values that schemas of the API share. */
export const count = z.int().min(0);
export const time = z.iso
  .datetime()
  .describe('in ISO 8601, UTC')
  .meta({ example: '2026-05-04T09:30:00.000Z' });
export const pixelSize = z.object({ x: z.number(), y: z.number() }).describe('in micrometres');
export const size = z.object({ width: z.int().min(1), height: z.int().min(1) }).describe('in px');
export const margins = z
  .object({ top: count, left: count, bottom: count, right: count })
  .describe('what a tile sees beyond the px that it owns, in px');

/** The type of a schema's output, read-only. */
export type Frozen<Value> = Value extends object
  ? { readonly [Key in keyof Value]: Frozen<Value[Key]> }
  : Value;

/** The type of a schema's output. */
export type Described<Schema extends z.ZodType> = Frozen<z.output<Schema>>;
