import { type IncomingHttpHeaders, request } from 'node:http';
import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A request with any headers, including those that `fetch` forbids. */
export function rawRequest(
  url: string,
  method: string,
  headers: Record<string, string> = {},
  body: string | Uint8Array = '',
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('latin1').on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: text }),
      );
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** A connection for arbitrary bytes; `answer` is everything received until it closed. */
export function rawSocket(
  url: string,
  text: string,
): { readonly socket: Socket; readonly answer: Promise<string>; readonly heard: () => string } {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write(text); // buffered until connected, before later writes
  let heard = '';
  socket.on('data', (chunk) => {
    heard += chunk.toString('latin1');
  });
  socket.on('error', () => undefined); // the response received before an error counts
  const answer = new Promise<string>((resolve) => socket.once('close', () => resolve(heard)));
  return { socket, answer, heard: () => heard };
}
