import type { z } from 'zod';
import { HEADERS } from '../operations/headers.js';
import { type Operation, type OperationResponse, TAGS } from '../operations/operation.js';
import { OPERATIONS } from '../operations.js';
import type { JsonSchema } from '../schemas/notation.js';
import { contentOf, countedHeaders, headersOf } from './content.js';
import { Problems } from './problems.js';
import { componentSchemas, parameterSchema } from './schemas.js';

/** An OpenAPI 3.1 document. */
export type OpenApi = Readonly<Record<string, unknown>> & {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
};

/**
 * The contract as an OpenAPI 3.1 document, made from the table of operations and the schemas that validate requests.
 * @param version of unseam
 */
export function openApiOf(version: string): OpenApi {
  const paths: Record<string, Record<string, unknown>> = {};
  const problems = new Problems();
  for (const [name, operation] of Object.entries(OPERATIONS)) {
    paths[operation.path] = {
      ...paths[operation.path],
      [operation.method]: describe(name, operation, problems),
    };
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'unseam',
      version,
      summary: 'Segmentation server for microscopy',
      description:
        'An image of any size in, a seamless mask out: bit for bit that of one pass over the whole image. ' +
        'Errors are problems (RFC 9457) with a stable `type`.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/', description: 'this server' }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas: componentSchemas(),
      headers: HEADERS,
      securitySchemes: SECURITY_SCHEMES,
      ...problems.components(),
    },
  };
}

const SECURITY_SCHEMES = {
  token: {
    type: 'http',
    scheme: 'bearer',
    description: 'A token of `unseam tokens`, or of an OpenID provider that the server trusts.',
  },
  session: {
    type: 'apiKey',
    in: 'cookie',
    name: 'unseam',
    description:
      'The cookie of the page, which `POST /v1/session` sets; over TLS its name is `__Host-unseam`.',
  },
};

function describe(name: string, operation: Operation, problems: Problems): JsonSchema {
  const { tag, summary, description, scope, body, isBodyRequired = false } = operation;
  return {
    operationId: name,
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    // A server without tokens needs none: the empty requirement says so.
    security: scope === null ? [{}] : [{ token: [scope] }, { session: [scope] }, {}],
    ...(operation.parameters && { parameters: parametersOf(operation.parameters) }),
    ...(body && { requestBody: { required: isBodyRequired, content: contentOf(body) } }),
    responses: { ...responsesOf(operation), ...problems.of(operation) },
  };
}

function parametersOf(groups: NonNullable<Operation['parameters']>): JsonSchema[] {
  return Object.entries(groups).flatMap(([where, group]) =>
    Object.entries((group as z.ZodObject).shape).map(([name, schema]) => {
      const { description, ...rest } = parameterSchema(schema as z.ZodType);
      const isRequired = where === 'path' || !(schema as z.ZodType).safeParse(undefined).success;
      return {
        name: where === 'header' ? headerName(name) : name,
        in: where,
        required: isRequired,
        description: sentence(String(description ?? '')),
        schema: rest,
      };
    }),
  );
}

/** A header's name as it is usually written: `Idempotency-Key`. */
const headerName = (name: string): string =>
  name.replaceAll(/(^|-)([a-z])/g, (_, dash: string, letter: string) => dash + letter.toUpperCase());

const sentence = (text: string): string => {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return first === '' || first.endsWith('.') ? first : `${first}.`;
};

function responsesOf(operation: Operation): JsonSchema {
  return Object.fromEntries(
    Object.entries(operation.responses).map(([status, { description, content, headers = [], links }]) => [
      status,
      {
        description,
        ...headersOf([...headers, ...countedHeaders(operation)]),
        ...(content && { content: contentOf(content) }),
        ...(links && { links: linksOf(links) }),
      },
    ]),
  );
}

const linksOf = (links: NonNullable<OperationResponse['links']>): JsonSchema =>
  Object.fromEntries(
    Object.entries(links).map(([operationId, parameters]) => [operationId, { operationId, parameters }]),
  );
