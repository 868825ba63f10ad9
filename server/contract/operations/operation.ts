import type { z } from 'zod';
import type { Code } from '../problems.js';
import type { Scope } from '../scopes.js';
import type { HeaderName } from './headers.js';

/** Groups of operations in the documentation of the API. */
export const TAGS = {
  Segment: 'Masks of images that can be answered at once, and plans.',
  Jobs: 'Images that are segmented in the background: whole slides, above all.',
  Uploads: 'Resumable uploads by the tus protocol 1.0.',
  Models: 'Models and their cards.',
  Inference: 'The Open Inference Protocol, version 2, for clients of inference servers.',
  Access: 'Who sends a request, and tokens.',
  Server: 'Probes, metrics and this contract.',
  Page: 'The page, for browsers.',
} as const;
export type Tag = keyof typeof TAGS;

/** A body: JSON by its schema, or bytes, or text. */
export interface Content {
  readonly schema: z.ZodType | 'bytes' | 'text';
  readonly example?: unknown;
}
/** The forms of a body, by their media types. */
export type Contents = Readonly<Record<string, Content>>;

export interface OperationResponse {
  readonly description: string;
  /** Default: no body. */
  readonly content?: Contents;
  readonly headers?: readonly HeaderName[];
  /** Follow-up operations by name, with the value of each parameter as an OpenAPI expression. */
  readonly links?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** One operation of the HTTP API. */
export interface Operation {
  readonly method: 'get' | 'head' | 'post' | 'patch' | 'delete' | 'options';
  /** Path in OpenAPI's notation: `/v1/jobs/{id}`. */
  readonly path: string;
  /** Whether the last name of the path stands for one or more segments. Default: each name stands for one. */
  readonly isDeep?: boolean;
  /** Scope that its caller needs; null for public operations. */
  readonly scope: Scope | null;
  /** Whether it may change something, so that requests are audited; by default, unless its method is a safe one. */
  readonly changesState?: boolean;
  readonly tag: Tag;
  /** What it does, in a phrase. */
  readonly summary: string;
  /** What else a caller should know. */
  readonly description?: string;
  /** The schema of each name in its path, of its query, and of the headers that it reads, in lower case. */
  readonly parameters?: {
    readonly path?: z.ZodObject;
    readonly query?: z.ZodObject;
    readonly header?: z.ZodObject;
  };
  /** Forms of its request body. Default: none. */
  readonly body?: Contents;
  readonly isBodyRequired?: boolean;
  /** Successful responses by status. */
  readonly responses: Readonly<Record<number, OperationResponse>>;
  /** The codes of errors that it can give, besides those that every operation can: see `errorsOf`. */
  readonly errors: readonly Code[];
}
