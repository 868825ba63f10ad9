import { z } from 'zod';

/** A part of a JSON Schema, as OpenAPI 3.1 has them. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** How a parameter may be written, where its own schema, which parses texts, cannot express it. */
export interface Notation {
  /** Notation in a query, a path or a header. */
  readonly text?: JsonSchema;
  /** Notation in JSON, as an alternative to its text. */
  readonly json?: readonly JsonSchema[];
}

/** The notation of parameters, by their schemas. */
export const NOTATION = z.registry<Notation, z.core.$ZodType>();

const integerIn = (minimum: number, maximum: number): JsonSchema => ({ type: 'integer', minimum, maximum });

/**
 * An integer, as its digits.
 * @param minimum 0 or more
 */
export function integer(minimum: number, maximum: number) {
  const digits = `{1,${String(maximum).length}}`;
  const expected = `must be an integer from ${minimum} to ${maximum}`;
  return z
    .string()
    .regex(new RegExp(`^\\d${digits}$`), expected)
    .transform(Number)
    .refine((value) => value >= minimum && value <= maximum, expected)
    .register(NOTATION, { text: integerIn(minimum, maximum), json: [integerIn(minimum, maximum)] });
}
