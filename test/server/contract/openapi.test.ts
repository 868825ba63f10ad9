import { createConfig, lintFromString } from '@redocly/openapi-core';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { EXAMPLE_JOB, EXAMPLE_PLAN } from '../../../server/contract/examples.js';
import { openApiOf } from '../../../server/contract/openapi/document.js';
import type { Contents, Operation } from '../../../server/contract/operations/operation.js';
import { OPERATIONS } from '../../../server/contract/operations.js';
import { PARAMETER_BOUNDS } from '../../../server/contract/parameters.js';
import { jobRequestSchema } from '../../../server/contract/queries.js';
import { jobSchema } from '../../../server/contract/schemas/job.js';
import { planSchema } from '../../../server/contract/schemas/plan.js';
import { asTexts } from '../../../server/http/job-request.js';

const document = openApiOf('1.2.3');
const operations: readonly (readonly [string, Operation])[] = Object.entries(OPERATIONS);

async function lint(contract: object): Promise<string[]> {
  const config = await createConfig({ extends: ['recommended-strict'] });
  const problems = await lintFromString({ source: JSON.stringify(contract), config });
  return problems.map(({ ruleId, message, location }) => `${ruleId}: ${message} (${location[0]?.pointer})`);
}

interface ObjectSchema extends Record<string, unknown> {
  readonly properties: Readonly<Record<string, Record<string, unknown>>>;
}
interface Parameter {
  readonly name: string;
  readonly schema: Record<string, unknown>;
}

describe('the contract', () => {
  it('has every operation, by its name', () => {
    const named = Object.values(document.paths).flatMap((methods) =>
      Object.values(methods).map((each) => (each as { operationId: string }).operationId),
    );
    expect(named.sort()).toEqual(Object.keys(OPERATIONS).sort());
  });

  it('passes the rules of a linter', async () => {
    expect(await lint(document)).toEqual([]);
    const { components: _, ...broken } = document;
    expect(await lint({ ...broken, paths: { '/v1/jobs': document.paths['/v1/jobs'] } })).not.toEqual([]);
  });

  it('describes each parameter in words, and each name in a path', () => {
    for (const [name, { path, parameters = {} }] of operations) {
      const own = Object.values(parameters).flatMap((group) => Object.entries((group as z.ZodObject).shape));
      const undescribed = own.filter(([, schema]) => !(schema as z.ZodType).description);
      expect([name, undescribed.map(([parameter]) => parameter)]).toEqual([name, []]);
      const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, each]) => each);
      expect([name, Object.keys(parameters.path?.shape ?? {})]).toEqual([name, names]);
    }
  });

  it('says how long each text of a request may be', () => {
    const texts: [string, unknown][] = [];
    const collect = (name: string, { anyOf, type, enum: choices, maxLength }: Record<string, unknown>) => {
      if (type === 'string' && choices === undefined) texts.push([name, maxLength]);
      for (const choice of (anyOf ?? []) as Record<string, unknown>[]) collect(name, choice);
    };
    const { components, paths } = document as unknown as {
      readonly components: { readonly schemas: Record<'JobRequest' | 'InferRequest', ObjectSchema> };
      readonly paths: Record<string, { readonly post: { readonly parameters: readonly Parameter[] } }>;
    };
    const { JobRequest, InferRequest } = components.schemas;
    for (const { properties } of [JobRequest, InferRequest.properties.parameters as ObjectSchema]) {
      for (const [name, property] of Object.entries(properties)) collect(`${name} of a body`, property);
    }
    const { parameters } = paths['/v1/segment']!.post;
    for (const { name, schema } of parameters) collect(name, schema);
    expect(texts).toContainEqual(['stats of a body', PARAMETER_BOUNDS.chars]);
    expect(texts).toContainEqual(['stats', PARAMETER_BOUNDS.chars]);
    expect(texts.filter(([, maxLength]) => typeof maxLength !== 'number')).toEqual([]);
  });

  it('links to operations that there are, by parameters that they have', () => {
    for (const [name, { responses }] of operations) {
      for (const [to, given] of Object.values(responses).flatMap(({ links = {} }) => Object.entries(links))) {
        const target: Operation | undefined = OPERATIONS[to as keyof typeof OPERATIONS];
        expect([name, to, Object.keys(target?.parameters?.path?.shape ?? {})]).toEqual([
          name,
          to,
          expect.arrayContaining(Object.keys(given)),
        ]);
      }
    }
  });

  it('says of each operation what it gives and what it may fail with', () => {
    for (const [name, { responses, errors }] of operations) {
      expect([name, Object.keys(responses).length > 0]).toEqual([name, true]);
      expect([name, new Set(errors).size]).toEqual([name, errors.length]);
    }
  });
});

describe('the examples', () => {
  it('are what their schemas describe', () => {
    const check = (contents: Contents = {}) => {
      for (const { schema, example } of Object.values(contents)) {
        if (typeof schema === 'string' || example === undefined) continue;
        // The parameters of a job are those of a query, which are made text before they are parsed.
        schema.parse(schema === jobRequestSchema ? asTexts(example as object) : example);
      }
    };
    for (const [, { body, responses }] of operations) {
      for (const content of [body, ...Object.values(responses).map((each) => each.content)]) check(content);
    }
    expect(jobSchema.parse(EXAMPLE_JOB)).toEqual(EXAMPLE_JOB);
    expect(planSchema.parse(EXAMPLE_PLAN)).toEqual(EXAMPLE_PLAN);
  });
});
