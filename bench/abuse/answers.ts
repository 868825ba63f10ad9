import { problemOf } from '../../server/problems.js';

/** What came back of a request. */
export interface Answer {
  /** 0 where the connection ended without one. */
  readonly status: number;
  readonly type: string;
  readonly body: Buffer;
  readonly ms: number;
  /** Nothing came, and the connection stayed open, for as long as a request may take. */
  readonly hung: boolean;
}

/** No request may take longer: then it hangs. */
export const BOUND_MS = 60_000;
/** Longer is told, though it is no fault on a machine that has other work. */
export const SLOW_MS = 10_000;

/** Whether an answer is a refusal as the documents promise: 4xx, with a code that is known, of that status. */
export function isNamed({ status, type, body }: Pick<Answer, 'status' | 'type' | 'body'>): boolean {
  if (status < 400 || status > 499 || !type.startsWith('application/problem+json')) return false;
  if (body.length === 0) return true; // of HEAD
  try {
    const problem = JSON.parse(body.toString()) as { type?: string; status?: number; detail?: unknown };
    const code = /^urn:unseam:problem:([a-z-]+)$/.exec(problem.type ?? '')?.[1] ?? '';
    return isNamedCode(code) && problem.status === status && typeof problem.detail === 'string';
  } catch {
    return false;
  }
}

/** Whether an error's code is one of the documented ones, and lays the fault on the request. */
export function isNamedCode(code: string): boolean {
  const { code: known, status } = problemOf(code);
  return known === code && status >= 400 && status <= 499;
}

/** Whether an answer gives away where the server's files are, or its code. */
export function leaks({ status, body }: Answer, folder: string): boolean {
  if (status < 400) return false;
  const text = body.toString('latin1');
  return text.includes(folder) || /\bat .*\.js:\d+/.test(text) || text.includes('root:x:0');
}

/** Sends one request, whole. */
export async function ask(url: string, init: RequestInit = {}): Promise<Answer> {
  const started = performance.now();
  const ended = (answer: Partial<Answer>): Answer => ({
    ...{ status: 0, type: '', body: Buffer.alloc(0), hung: false },
    ...answer,
    ms: performance.now() - started,
  });
  try {
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(BOUND_MS) });
    const body = Buffer.from(await response.arrayBuffer());
    return ended({ status: response.status, type: response.headers.get('content-type') ?? '', body });
  } catch (error) {
    return ended({
      hung: (error as Error).name === 'TimeoutError',
      type: String((error as Error).cause ?? error),
    });
  }
}
