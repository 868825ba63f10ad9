import { errorsOf } from '../operations/errors.js';
import type { HeaderName } from '../operations/headers.js';
import type { Operation } from '../operations/operation.js';
import { type Problem, problemOf, TRANSIENT } from '../problems.js';
import type { JsonSchema } from '../schemas/notation.js';
import { contentOf, countedHeaders, headersOf } from './content.js';

/** The errors of operations as responses. Equal ones of several operations are written once. */
export class Problems {
  readonly #codes = new Set<string>();
  /** Shared responses by their names, and their names by what they are. */
  readonly #responses = new Map<string, JsonSchema>();
  readonly #names = new Map<string, string>();

  /** The errors of an operation by status, each with its codes. */
  of(operation: Operation): JsonSchema {
    const byStatus = new Map<number, Problem[]>();
    for (const problem of [...errorsOf(operation)].map(problemOf)) {
      this.#codes.add(problem.code);
      byStatus.set(problem.status, [...(byStatus.get(problem.status) ?? []), problem]);
    }
    const responses = [...byStatus].map(([status, problems]) => {
      const response = responseOf(operation, status, problems);
      return [status, operation.responses[status] ? response : this.#shared(status, response)];
    });
    return Object.fromEntries(responses);
  }

  /** The shared responses that the described operations refer to. */
  components(): JsonSchema {
    return {
      responses: Object.fromEntries(this.#responses),
      examples: Object.fromEntries([...this.#codes].sort().map((code) => [code, exampleOf(code)])),
    };
  }

  #shared(status: number, response: JsonSchema): JsonSchema {
    const text = JSON.stringify(response);
    let name = this.#names.get(text);
    if (name === undefined) {
      const count = [...this.#responses.keys()].filter((each) => each.startsWith(`Problem${status}`)).length;
      name = `Problem${status}${count === 0 ? '' : `-${count + 1}`}`;
      this.#names.set(text, name);
      this.#responses.set(name, response);
    }
    return { $ref: `#/components/responses/${name}` };
  }
}

function responseOf(operation: Operation, status: number, problems: readonly Problem[]): JsonSchema {
  const own = operation.responses[status];
  const codes = problems.map(({ code, title }) => `\`${code}\`: ${title}`).join('; ');
  const retry: readonly HeaderName[] = TRANSIENT.has(status) ? ['Retry-After'] : [];
  const login: readonly HeaderName[] = status === 401 ? ['WWW-Authenticate'] : [];
  return {
    description: own ? `${own.description} Or ${codes}.` : `${codes}.`,
    ...headersOf([...retry, ...login, ...countedHeaders(operation)]),
    content: {
      ...(own?.content && contentOf(own.content)),
      ...(operation.method !== 'head' && { 'application/problem+json': problemContent(status, problems) }),
    },
  };
}

function problemContent(status: number, problems: readonly Problem[]): JsonSchema {
  const types = problems.map(({ code }) => typeOf(code));
  return {
    schema: {
      allOf: [
        { $ref: '#/components/schemas/Problem' },
        { properties: { type: { enum: types }, status: { const: status } } },
      ],
    },
    examples: Object.fromEntries(
      problems.map(({ code }) => [code, { $ref: `#/components/examples/${code}` }]),
    ),
  };
}

const typeOf = (code: string): string => `urn:unseam:problem:${code}`;

function exampleOf(code: string): JsonSchema {
  const { title, status } = problemOf(code);
  return { summary: title, value: { type: typeOf(code), title, status, detail: `${title}.` } };
}
