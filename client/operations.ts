import type { z } from 'zod';
import type { OPERATIONS } from '../server/contract/operations.js';

type Table = typeof OPERATIONS;

/** The operations, as calls name them: `get /v1/jobs/{id}`. */
type Routes = {
  [Name in keyof Table as `${Table[Name]['method']} ${Table[Name]['path']}`]: Table[Name];
};

/** How a call names its operation: `get /v1/jobs/{id}`. */
export type Route = keyof Routes;

/** What a parameter may be written as: texts also as numbers and lists, switches also as booleans. */
type Written<Value> =
  | Value
  | (string extends NonNullable<Value>
      ? number | boolean | readonly (string | number)[]
      : '0' extends NonNullable<Value>
        ? boolean
        : never);
type WrittenIn<Group> = { readonly [Name in keyof Group]: Written<Group[Name]> };

type PathOf<Operation> = Operation extends { parameters: { path: infer Group extends z.ZodType } }
  ? { readonly path: { readonly [Name in keyof z.input<Group>]: string } }
  : { readonly path?: never };
type QueryOf<Operation> = Operation extends { parameters: { query: infer Group extends z.ZodType } }
  ? { readonly query?: WrittenIn<z.input<Group>> }
  : { readonly query?: never };
type JsonOf<Operation> = Operation extends {
  body: { 'application/json': { schema: infer Schema extends z.ZodType } };
}
  ? { readonly json?: Json<z.input<Schema>> }
  : { readonly json?: never };
/** A JSON body: parameters beside the place of an image, which is written in one way. */
type Json<Body> = {
  readonly [Name in keyof Body]: Body[Name] extends object ? Body[Name] : Written<Body[Name]>;
};

/** What a call passes to its operation. */
export type Call<Of extends Route> = PathOf<Routes[Of]> &
  QueryOf<Routes[Of]> &
  JsonOf<Routes[Of]> & {
    readonly headers?: Readonly<Record<string, string>>;
    /** A body other than JSON. */
    readonly body?: Body;
    readonly signal?: AbortSignal;
  };

/** Bytes that are sent. */
export type Body = Blob | ArrayBuffer | Uint8Array<ArrayBuffer> | string;

type SchemaOf<Response> = Response extends {
  content: { 'application/json': { schema: infer Schema extends z.ZodType } };
}
  ? z.output<Schema>
  : never;
type ResponsesOf<Operation> = Operation extends { responses: infer Responses }
  ? { [Status in keyof Responses]: SchemaOf<Responses[Status]> }[keyof Responses]
  : never;

/** A type, deeply read-only. */
type Frozen<Value> = Value extends object ? { readonly [Key in keyof Value]: Frozen<Value[Key]> } : Value;

/** The JSON that an operation responds with. */
export type ResultOf<Of extends Route> = Frozen<ResponsesOf<Routes[Of]>>;
