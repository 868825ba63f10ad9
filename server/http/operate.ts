import type { IRouter, RequestHandler } from 'express';
import type { Operation } from '../contract/operations/operation.js';
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
    const operation: Operation = OPERATIONS[name];
    const before = checks.map((check) => check(name));
    if (operation.isDeep) before.unshift(joinSegments);
    router[operation.method](pathPattern(operation), ...before, ...(handlers as unknown as RequestHandler[]));
  };

/** Express gives the segments of a deep path's last name as a list. */
const joinSegments: RequestHandler = (request, _response, next) => {
  for (const [name, value] of Object.entries(request.params)) {
    if (Array.isArray(value)) request.params[name] = value.join('/');
  }
  next();
};

/** The methods of the operations at a path of a request, in upper case. */
export function methodsAt(path: string): ReadonlySet<string> {
  const at = Object.values<Operation>(OPERATIONS).filter((each) => matches(each, path));
  return new Set(at.flatMap(({ method }) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()])));
}

/** Whether the path of an operation matches that of a request. */
function matches(
  { path: template, isDeep = false }: Pick<Operation, 'path' | 'isDeep'>,
  path: string,
): boolean {
  const pieces = path.split('/');
  const own = template.split('/');
  return (
    (own.length === pieces.length || (isDeep && own.length < pieces.length)) &&
    own.every((piece, i) => piece === pieces[i] || (piece.startsWith('{') && pieces[i] !== ''))
  );
}

/** The path of an operation as express writes it: `/v1/jobs/:id`, and `*key` for several segments. */
export function pathPattern({ path, isDeep = false }: Pick<Operation, 'path' | 'isDeep'>): string {
  const pattern = path.replaceAll(/\{(\w+)\}/g, ':$1');
  return isDeep ? pattern.replace(/:(\w+)$/, '*$1') : pattern;
}
