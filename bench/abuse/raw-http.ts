import { connect } from 'node:net';
import { type Answer, BOUND_MS } from './answers.js';

export interface Exchange {
  /** What is sent, piece by piece, with a pause of some ms where a number stands. */
  readonly send: readonly (Buffer | number)[];
  /** What the client does then: wait for the answer, say that it sends no more, or leave. */
  readonly next: 'wait' | 'end' | 'leave';
  /** HEAD is answered without a body. */
  readonly head?: boolean;
}

/** Sends bytes as they are, which no HTTP client would, and reads the first answer. */
export function exchange(port: number, { send, next, head = false }: Exchange): Promise<Answer> {
  const started = performance.now();
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const parts: Buffer[] = [];
    const settle = (hung: boolean) => {
      clearTimeout(late);
      socket.destroy();
      const received = Buffer.concat(parts);
      const answer = parseAnswer(received, head) ??
        parseAnswer(received, true) ?? { status: 0, type: '', body: received };
      resolve({ ...answer, hung, ms: performance.now() - started });
    };
    const late = setTimeout(() => settle(true), BOUND_MS);
    socket.on('error', () => settle(false));
    socket.on('close', () => settle(false));
    socket.on('data', (chunk) => {
      parts.push(chunk);
      if (parseAnswer(Buffer.concat(parts), head)) settle(false);
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

/** The first answer that is whole; null until then. Interim answers (1xx) are passed over. */
function parseAnswer(bytes: Buffer, head: boolean): Pick<Answer, 'status' | 'type' | 'body'> | null {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const lines = bytes.toString('latin1', 0, end).split('\r\n');
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(lines[0]!)?.[1] ?? 0);
  const rest = bytes.subarray(end + 4);
  if (status >= 100 && status < 200) return parseAnswer(rest, head);
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
  const body = dechunked(rest);
  return body && { status, type, body };
}

function dechunked(bytes: Buffer): Buffer | null {
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
