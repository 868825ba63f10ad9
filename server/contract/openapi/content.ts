import type { HeaderName } from '../operations/headers.js';
import type { Content, Contents, Operation } from '../operations/operation.js';
import type { JsonSchema } from '../schemas/notation.js';
import { bodySchema } from './schemas.js';

/** The forms of a body. */
export function contentOf(contents: Contents): JsonSchema {
  return Object.fromEntries(
    Object.entries(contents).map(([type, { schema, example }]) => [
      type,
      { schema: schemaOf(schema), ...(example !== undefined && { example }) },
    ]),
  );
}

function schemaOf(schema: Content['schema']): JsonSchema {
  if (schema === 'bytes') return { type: 'string', format: 'binary' };
  return schema === 'text' ? { type: 'string' } : bodySchema(schema);
}

/** The headers of all responses of an operation that is counted against a rate. */
export const countedHeaders = ({ scope }: Pick<Operation, 'scope'>): readonly HeaderName[] =>
  scope === null ? [] : ['RateLimit', 'RateLimit-Policy'];

export const headersOf = (names: readonly HeaderName[]): JsonSchema =>
  names.length === 0
    ? {}
    : { headers: Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }])) };
