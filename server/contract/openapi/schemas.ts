import { z } from 'zod';
import { PARAMETER_BOUNDS } from '../parameters.js';
import { jobRequestSchema } from '../queries.js';
import { recordedReceiptSchema } from '../receipt.js';
import {
  newTokenSchema,
  sessionSchema,
  tokenListSchema,
  tokenRequestSchema,
  tokenViewSchema,
} from '../schemas/access.js';
import { inferenceModelSchema, inferRequestSchema, inferResponseSchema } from '../schemas/inference.js';
import { failureSchema, jobListSchema, jobSchema, progressSchema } from '../schemas/job.js';
import { limitsSchema } from '../schemas/limits.js';
import { modelListSchema, modelSchema } from '../schemas/model.js';
import { type JsonSchema, NOTATION } from '../schemas/notation.js';
import { planSchema } from '../schemas/plan.js';
import { problemSchema } from '../schemas/problem.js';
import { objectsSchema, regionsSchema } from '../schemas/results.js';

/** The schemas that the document names; all others are written where they are used. */
const NAMED = z.registry<{ readonly id: string }>();
NAMED.add(problemSchema, { id: 'Problem' });
NAMED.add(jobSchema, { id: 'Job' });
NAMED.add(jobListSchema, { id: 'JobList' });
NAMED.add(jobRequestSchema, { id: 'JobRequest' });
NAMED.add(progressSchema, { id: 'Progress' });
NAMED.add(failureSchema, { id: 'Failure' });
NAMED.add(recordedReceiptSchema, { id: 'RecordedReceipt' });
NAMED.add(planSchema, { id: 'Plan' });
NAMED.add(modelSchema, { id: 'Model' });
NAMED.add(modelListSchema, { id: 'ModelList' });
NAMED.add(inferRequestSchema, { id: 'InferRequest' });
NAMED.add(inferResponseSchema, { id: 'InferResponse' });
NAMED.add(inferenceModelSchema, { id: 'InferenceModel' });
NAMED.add(objectsSchema, { id: 'Objects' });
NAMED.add(regionsSchema, { id: 'Regions' });
NAMED.add(limitsSchema, { id: 'Limits' });
NAMED.add(sessionSchema, { id: 'Session' });
NAMED.add(tokenViewSchema, { id: 'Token' });
NAMED.add(newTokenSchema, { id: 'NewToken' });
NAMED.add(tokenListSchema, { id: 'TokenList' });
NAMED.add(tokenRequestSchema, { id: 'TokenRequest' });

const refOf = (id: string): string => `#/components/schemas/${id}`;
type Override = NonNullable<z.core.ToJSONSchemaParams['override']>;

/** How schemas are converted: as what clients send and receive, before anything is parsed. */
const INPUT = { io: 'input', unrepresentable: 'any' } as const satisfies z.core.ToJSONSchemaParams;

/** Replaces a schema by the notation of its text. */
const asText: Override = ({ zodSchema, jsonSchema }) => {
  const text = NOTATION.get(zodSchema)?.text;
  if (text) replace(jsonSchema, text);
};

/** Lets a value be written as JSON, or as its text. */
const asJson: Override = ({ zodSchema, jsonSchema }) => {
  simplifyTuple(jsonSchema);
  const notation = NOTATION.get(zodSchema);
  if (!notation?.json) return;
  const { description: _, default: __, ...own } = jsonSchema;
  const isText = notation.text?.type === 'string';
  replace(jsonSchema, { anyOf: [...notation.json, isText ? notation.text : own] });
};

/** Writes a tuple of equal types as a list of fixed length: not every tool knows `prefixItems`. */
function simplifyTuple(schema: Record<string, unknown>): void {
  const items = schema.prefixItems as readonly unknown[] | undefined;
  const [first, ...others] = (items ?? []).map((item) => JSON.stringify(item));
  if (first === undefined || others.some((other) => other !== first)) return;
  schema.items = items![0];
  delete schema.prefixItems;
}

/** Replaces all of a schema but its description. */
function replace(schema: Record<string, unknown>, by: JsonSchema): void {
  const { description } = schema;
  for (const key of Object.keys(schema)) delete schema[key];
  Object.assign(schema, by, description !== undefined && { description });
}

/** The named schemas. */
export function componentSchemas(): Record<string, JsonSchema> {
  const { schemas } = z.toJSONSchema(NAMED, { ...INPUT, uri: refOf, override: asJson });
  const { JobRequest, InferRequest } = schemas as unknown as Readonly<Record<string, ObjectSchema>>;
  for (const property of propertiesOf(JobRequest!)) boundText(property);
  for (const property of propertiesOf(InferRequest!.properties.parameters as ObjectSchema))
    boundText(property);
  return Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, plain(schema)]));
}

interface ObjectSchema {
  readonly properties: Readonly<Record<string, object>>;
}

const propertiesOf = ({ properties }: ObjectSchema) => Object.values(properties) as Record<string, unknown>[];

/** The schema of a body: a reference to a named one, or itself. */
export function bodySchema(schema: z.ZodType): JsonSchema {
  const named = NAMED.get(schema);
  return named ? { $ref: refOf(named.id) } : plain(z.toJSONSchema(schema, { ...INPUT, override: asJson }));
}

/** The schema of a parameter in a query, a path or a header. */
export function parameterSchema(schema: z.ZodType): JsonSchema {
  const converted = plain(z.toJSONSchema(schema, { ...INPUT, override: asText }));
  boundText(converted);
  return converted;
}

/** Says of the text of a parameter how long it may be, where its own schema does not: longer ones are not looked at. */
function boundText(schema: Record<string, unknown>): void {
  if (schema.type === 'string' && !('enum' in schema)) schema.maxLength ??= PARAMETER_BOUNDS.chars;
  for (const choice of (schema.anyOf ?? []) as Record<string, unknown>[]) boundText(choice);
}

/** A schema without the keywords of a standalone document. */
function plain(schema: object): JsonSchema {
  const { $schema, $id, '~standard': _, ...rest } = schema as Record<string, unknown>;
  return rest;
}
