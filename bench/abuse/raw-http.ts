import { connect } from 'node:net';
import { type HttpResponse, TIMEOUT_MS } from './responses.js';

/** What a client sends, and how it behaves afterwards. */
export interface Exchange {
  /** The pieces to write, in order; a number is a pause in ms. */
  readonly send: readonly (Buffer | number)[];
  /** What the client does then: wait for the response, half-close the connection and wait, or disconnect. */
  readonly next: 'wait' | 'end' | 'leave';
  /** Whether the request is HEAD, whose response has no body. Default: false. */
  readonly head?: boolean;
}

/** Sends raw bytes, valid HTTP or not, to 127.0.0.1 and reads the first response. */
export function exchange(port: number, { send, next, head = false }: Exchange): Promise<HttpResponse> {
  const started = performance.now();
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const parts: Buffer[] = [];
    const settle = (hung: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      const received = Buffer.concat(parts);
      const response = parseResponse(received, head) ??
        parseResponse(received, true) ?? { status: 0, type: '', body: received };
      resolve({ ...response, hung, ms: performance.now() - started });
    };
    const timer = setTimeout(() => settle(true), TIMEOUT_MS);
    socket.on('error', () => settle(false));
    socket.on('close', () => settle(false));
    socket.on('data', (chunk) => {
      parts.push(chunk);
      if (parseResponse(Buffer.concat(parts), head)) settle(false);
    });
    const write = async () => {
      for (const part of send) {
        if (typeof part === 'number') await new Promise((done) => setTimeout(done, part));
        else if (!socket.destroyed) socket.write(part);
      }
      if (next === 'leave') settle(false);
      if (next === 'end') socket.end();
    };
    void write();
  });
}

/** The first complete response, or null if there is none yet. Interim responses (1xx) are skipped. */
function parseResponse(bytes: Buffer, head: boolean): Pick<HttpResponse, 'status' | 'type' | 'body'> | null {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const lines = bytes.toString('latin1', 0, end).split('\r\n');
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(lines[0]!)?.[1] ?? 0);
  const rest = bytes.subarray(end + 4);
  if (status >= 100 && status < 200) return parseResponse(rest, head);
  const header = (name: string) =>
    lines
      .find((line) => line.toLowerCase().startsWith(`${name}:`))
      ?.slice(name.length + 1)
      .trim() ?? null;
  const type = header('content-type') ?? '';
  if (head || status === 204 || status === 304) return { status, type, body: Buffer.alloc(0) };
  const length = header('content-length');
  if (length !== null)
    return rest.length < Number(length) ? null : { status, type, body: rest.subarray(0, Number(length)) };
  const body = decodeChunked(rest);
  return body && { status, type, body };
}

/** The body of a chunked transfer, or null while it is incomplete. */
function decodeChunked(bytes: Buffer): Buffer | null {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const end = bytes.indexOf('\r\n', at);
    if (end < 0) return null;
    const length = Number.parseInt(bytes.toString('latin1', at, end), 16);
    if (!(length > 0)) return Buffer.concat(parts);
    if (end + 2 + length > bytes.length) return null;
    parts.push(bytes.subarray(end + 2, end + 2 + length));
    at = end + 2 + length + 2;
  }
}
