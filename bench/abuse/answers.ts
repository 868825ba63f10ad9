import { request } from 'node:http';
import { problemOf } from '../../server/contract/problems.js';

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

export interface Question {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
}

/**
 * Sends one request, whole, on a connection of its own: one that is kept may be closed by its server at the
 * very moment at which it is used again, which would look like a fault.
 */
export function ask(
  url: string,
  { method = 'GET', headers = {}, body = '' }: Question = {},
): Promise<Answer> {
  const started = performance.now();
  return new Promise((resolve) => {
    let hung = false;
    const settle = (answer: Pick<Answer, 'status' | 'type' | 'body'>) => {
      clearTimeout(late);
      resolve({ ...answer, hung, ms: performance.now() - started });
    };
    const failed = (error: Error) => settle({ status: 0, type: String(error), body: Buffer.alloc(0) });
    const length = method === 'GET' ? {} : { 'content-length': Buffer.byteLength(body) };
    const sent = request(
      url,
      { method, headers: { ...headers, ...length }, agent: false },
      async (response) => {
        const parts: Buffer[] = [];
        try {
          for await (const part of response) parts.push(part as Buffer);
          const type = response.headers['content-type'] ?? '';
          settle({ status: response.statusCode ?? 0, type, body: Buffer.concat(parts) });
        } catch (error) {
          failed(error as Error);
        }
      },
    );
    const late = setTimeout(() => {
      hung = true;
      sent.destroy(new Error(`no answer in ${BOUND_MS / 1000} s`));
    }, BOUND_MS);
    sent.on('error', failed);
    sent.end(body);
  });
}
