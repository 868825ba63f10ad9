import { expect } from 'vitest';
import { z } from 'zod';
import { countedHeaders } from '../../server/contract/openapi/content.js';
import { errorsOf } from '../../server/contract/operations/errors.js';
import { HEADERS, type HeaderName } from '../../server/contract/operations/headers.js';
import type { Operation } from '../../server/contract/operations/operation.js';
import { OPERATIONS, type OperationName } from '../../server/contract/operations.js';
import { problemSchema } from '../../server/contract/schemas/problem.js';

/**
 * Expects a response of an operation to be one that the contract describes: its status, its type, its headers, each
 * member of its body, and the code of an error. Returns the body.
 */
export async function expectDescribed(name: OperationName, response: Response): Promise<unknown> {
  const operation: Operation = OPERATIONS[name];
  const type = (response.headers.get('content-type') ?? '').split(';')[0]!;
  if (type === 'application/problem+json') {
    const problem = problemSchema.parse(await exact(problemSchema, response));
    const codes = [...errorsOf(operation)].map((code) => `urn:unseam:problem:${code}`);
    expect([name, codes]).toEqual([name, expect.arrayContaining([problem.type])]);
    expect(problem.status).toBe(response.status);
    expect([name, response.headers.has('www-authenticate')]).toEqual([name, response.status === 401]);
    return problem;
  }
  const described = operation.responses[response.status];
  expect([name, response.status, described !== undefined]).toEqual([name, response.status, true]);
  expectHeaders(name, response);
  const { content } = described!;
  if (content === undefined) {
    expect([name, await response.text()]).toEqual([name, '']);
    return null;
  }
  expect([name, [type]]).toEqual([name, Object.keys(content).filter((each) => each === type)]);
  const schema = content[type]?.schema;
  return typeof schema === 'string' || !/json$/.test(type) ? response.text() : exact(schema!, response);
}

/** Expects the headers that the contract requires of a response, and none that it has of other responses alone. */
function expectHeaders(name: OperationName, { status, headers }: Response): void {
  const operation: Operation = OPERATIONS[name];
  const described = [...(operation.responses[status]!.headers ?? []), ...countedHeaders(operation)];
  const required = described.filter((each) => HEADERS[each].required && !headers.has(each));
  expect([name, status, 'missing', required]).toEqual([name, status, 'missing', []]);
  // Express gives JSON a weak ETag, which no operation promises.
  const isWeak = (each: HeaderName) => each === 'ETag' && headers.get(each)!.startsWith('W/');
  const others = (Object.keys(HEADERS) as HeaderName[]).filter(
    (each) => headers.has(each) && !described.includes(each) && !isWeak(each),
  );
  expect([name, status, 'not described', others]).toEqual([name, status, 'not described', []]);
}

/** The JSON of a response, which has nothing that its schema does not describe. */
async function exact(schema: z.ZodType, response: Response): Promise<unknown> {
  const body: unknown = await response.json();
  // A schema that is not loose drops what it does not know.
  expect(z.parse(schema, body)).toEqual(body);
  return body;
}
