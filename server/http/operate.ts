import type { IRouter, RequestHandler } from 'express';
import { OPERATIONS, type OperationName } from '../contract/operations.js';

/** The names in a path: `{id}`. */
type NamesIn<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}`
  ? Name | NamesIn<Rest>
  : never;
type ParametersOf<Name extends OperationName> = Record<NamesIn<(typeof OPERATIONS)[Name]['path']>, string>;

/** Registers the handlers of an operation: the only way to make a route. */
export type Operate = <Name extends OperationName>(
  name: Name,
  ...handlers: RequestHandler<ParametersOf<Name>>[]
) => void;

/** A handler that comes before those of an operation, and refuses callers that may not use it now. */
export type Check = (name: OperationName) => RequestHandler;

/** Registers operations on a router, by the methods and paths of `OPERATIONS`, behind the checks in their order. */
export const operateOn =
  (router: IRouter, ...checks: readonly Check[]): Operate =>
  (name, ...handlers) => {
    const { method, path } = OPERATIONS[name];
    const before = checks.map((check) => check(name));
    router[method](pathPattern(path), ...before, ...(handlers as unknown as RequestHandler[]));
  };

/** A path as express writes it: `/v1/jobs/:id`. */
export const pathPattern = (path: string): string => path.replaceAll(/\{(\w+)\}/g, ':$1');
