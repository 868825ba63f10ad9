import { request } from 'node:http';
import { problemOf } from '../../server/contract/problems.js';

/** The response to a request, or how it failed. */
export interface HttpResponse {
  /** 0 if the connection was closed without a response. */
  readonly status: number;
  readonly type: string;
  readonly body: Buffer;
  readonly ms: number;
  /** Whether the request timed out. */
  readonly hung: boolean;
}

/** A request that takes longer hangs. */
export const TIMEOUT_MS = 60_000;
/** Slower requests are reported, but are no fault: the machine may be busy. */
export const SLOW_MS = 10_000;

/** Whether a response is a documented error: a 4xx with a problem document whose code has that status. */
export function isNamed({ status, type, body }: Pick<HttpResponse, 'status' | 'type' | 'body'>): boolean {
  if (status < 400 || status > 499 || !type.startsWith('application/problem+json')) return false;
  if (body.length === 0) return true; // to HEAD
  try {
    const problem = JSON.parse(body.toString()) as { type?: string; status?: number; detail?: unknown };
    const code = /^urn:unseam:problem:([a-z-]+)$/.exec(problem.type ?? '')?.[1] ?? '';
    return isNamedCode(code) && problem.status === status && typeof problem.detail === 'string';
  } catch {
    return false;
  }
}

/** Whether a code is documented, and blames the request (4xx). */
export function isNamedCode(code: string): boolean {
  const { code: known, status } = problemOf(code);
  return known === code && status >= 400 && status <= 499;
}

/** Whether an error reveals a path of the server, a stack trace or the contents of a system file. */
export function leaks({ status, body }: HttpResponse, folder: string): boolean {
  if (status < 400) return false;
  const text = body.toString('latin1');
  return text.includes(folder) || /\bat .*\.js:\d+/.test(text) || text.includes('root:x:0');
}

/** Default: a GET without headers or body. */
export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
}

/**
 * Sends one complete request on a new connection. A reused connection could be closed by the server just as the next
 * request is sent, which would look like a fault.
 */
export function sendRequest(
  url: string,
  { method = 'GET', headers = {}, body = '' }: RequestOptions = {},
): Promise<HttpResponse> {
  const started = performance.now();
  return new Promise((resolve) => {
    let hung = false;
    const settle = (response: Pick<HttpResponse, 'status' | 'type' | 'body'>) => {
      clearTimeout(timer);
      resolve({ ...response, hung, ms: performance.now() - started });
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
    const timer = setTimeout(() => {
      hung = true;
      sent.destroy(new Error(`no response within ${TIMEOUT_MS / 1000} s`));
    }, TIMEOUT_MS);
    sent.on('error', failed);
    sent.end(body);
  });
}
