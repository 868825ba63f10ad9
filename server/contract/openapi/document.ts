import type { z } from 'zod';
import { errorsOf } from '../operations/errors.js';
import { HEADERS, type HeaderName } from '../operations/headers.js';
import type { Content, Contents, Operation } from '../operations/operation.js';
import { TAGS } from '../operations/operation.js';
import { OPERATIONS } from '../operations.js';
import { type Problem, problemOf, TRANSIENT } from '../problems.js';
import type { JsonSchema } from '../schemas/notation.js';
import { bodySchema, componentSchemas, parameterSchema } from './schemas.js';

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
  const codes = new Set(Object.values(OPERATIONS).flatMap((operation) => [...errorsOf(operation)]));
  for (const [name, operation] of Object.entries(OPERATIONS)) {
    paths[operation.path] = { ...paths[operation.path], [operation.method]: describe(name, operation) };
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
      examples: Object.fromEntries([...codes].sort().map((code) => [code, problemExample(code)])),
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
    description: 'The cookie of the page, which `POST /v1/session` sets.',
  },
};

function describe(name: string, operation: Operation): JsonSchema {
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
    responses: { ...responsesOf(operation), ...problemsOf(operation) },
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

function contentOf(contents: Contents): JsonSchema {
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

function responsesOf({ responses, scope }: Operation): JsonSchema {
  return Object.fromEntries(
    Object.entries(responses).map(([status, { description, content, headers = [] }]) => [
      status,
      {
        description,
        ...headersOf(scope === null ? headers : [...headers, ...RATE]),
        ...(content && { content: contentOf(content) }),
      },
    ]),
  );
}

/** Headers of all responses that are counted. */
const RATE: readonly HeaderName[] = ['RateLimit', 'RateLimit-Policy'];

const headersOf = (names: readonly HeaderName[]): JsonSchema =>
  names.length === 0
    ? {}
    : { headers: Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }])) };

/** The errors of an operation by status, each with its codes. */
function problemsOf(operation: Operation): JsonSchema {
  const byStatus = new Map<number, Problem[]>();
  for (const problem of [...errorsOf(operation)].map(problemOf)) {
    byStatus.set(problem.status, [...(byStatus.get(problem.status) ?? []), problem]);
  }
  const own = operation.responses;
  return Object.fromEntries(
    [...byStatus]
      .sort(([a], [b]) => a - b)
      .map(([status, problems]) => {
        const response = own[status];
        const content = {
          ...(response?.content && contentOf(response.content)),
          ...(operation.method !== 'head' && {
            'application/problem+json': problemContent(status, problems),
          }),
        };
        const codes = problems.map(({ code, title }) => `\`${code}\`: ${title}`).join('; ');
        return [
          status,
          {
            description: response ? `${response.description} Or ${codes}.` : `${codes}.`,
            ...headersOf([
              ...(TRANSIENT.has(status) ? (['Retry-After'] as const) : []),
              ...(operation.scope === null ? [] : RATE),
            ]),
            content,
          },
        ];
      }),
  );
}

function problemContent(status: number, problems: readonly Problem[]): JsonSchema {
  return {
    schema: {
      allOf: [
        { $ref: '#/components/schemas/Problem' },
        {
          properties: { type: { enum: problems.map(({ code }) => typeOf(code)) }, status: { const: status } },
        },
      ],
    },
    examples: Object.fromEntries(
      problems.map(({ code }) => [code, { $ref: `#/components/examples/${code}` }]),
    ),
  };
}

const typeOf = (code: string): string => `urn:unseam:problem:${code}`;

function problemExample(code: string): JsonSchema {
  const { title, status } = problemOf(code);
  return { summary: title, value: { type: typeOf(code), title, status, detail: `${title}.` } };
}
