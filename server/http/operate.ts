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

/** Makes a handler that runs before those of an operation, and may refuse the request. */
export type Check = (name: OperationName) => RequestHandler;

/** Registers operations on a router, by the methods and paths of `OPERATIONS`, behind the checks in their order. */
export const operateOn =
  (router: IRouter, ...checks: readonly Check[]): Operate =>
  (name, ...handlers) => {
    const { method, path } = OPERATIONS[name];
    const before = checks.map((check) => check(name));
    router[method](pathPattern(path), ...before, ...(handlers as unknown as RequestHandler[]));
  };

/** The methods of the operations at a path of a request, in upper case. */
export function methodsAt(path: string): ReadonlySet<string> {
  const at = Object.values(OPERATIONS).filter((each) => matches(each.path, path));
  return new Set(at.flatMap(({ method }) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()])));
}

/** Whether a path of the table matches that of a request. Each name stands for one segment. */
function matches(template: string, path: string): boolean {
  const pieces = path.split('/');
  const own = template.split('/');
  return (
    own.length === pieces.length &&
    own.every((piece, i) => piece === pieces[i] || (piece.startsWith('{') && pieces[i] !== ''))
  );
}

/** A path as express writes it: `/v1/jobs/:id`. */
export const pathPattern = (path: string): string => path.replaceAll(/\{(\w+)\}/g, ':$1');
