import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { RequestError } from '../contract/errors.js';
import { codeOf, problemOf } from '../contract/problems.js';
import { LINGER_MS, problemText } from './problem.js';
import type { ProblemReporter } from './problem-reporter.js';
import type { TlsPair } from './tls.js';

/** Headers of every response, for browsers. The page relaxes them for itself. */
const SECURITY_HEADERS = new Map([
  ['Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'"],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
  ['Referrer-Policy', 'no-referrer'],
  ['X-Content-Type-Options', 'nosniff'],
  ['X-Frame-Options', 'DENY'],
]);
/** Time limit of a request's headers, and the interval at which node checks it, in ms. */
export const HEADER_TIMES = { headersTimeout: 15_000, connectionsCheckingInterval: 5000 };
/** Bounds idle connections and event streams, which cost memory and little else. */
const MAX_CONNECTIONS = 4096;

export interface HttpServerOptions {
  /** The time limit of a request's headers. Default 15 s. */
  readonly headerTimes?: typeof HEADER_TIMES;
  /** A certificate with its key for a server that speaks TLS: it is an `https.Server`. Default null. */
  readonly tls?: TlsPair | null;
}

/**
 * Creates the HTTP server around an app; does not listen. It limits connections and the time of headers, and responds
 * in the app's manner to what Node would respond to by itself: malformed requests, time-outs and expectations.
 * @param reporter receives the problems of connections that are refused here
 */
export function createHttpServer(
  handle: RequestListener,
  reporter: ProblemReporter,
  { headerTimes = HEADER_TIMES, tls = null }: HttpServerOptions = {},
): Server {
  // A slide may take an hour to upload: bodies have a minimum rate (see watchBodies) instead of a time limit.
  // Requests without a Host header are refused by the guard.
  const options = { requestTimeout: 0, requireHostHeader: false, ...headerTimes };
  const pending = new WeakMap<Duplex, Set<ServerResponse>>();
  const accept: RequestListener = (request, response) => {
    const responses = pending.get(request.socket);
    responses?.add(response);
    response.once('close', () => responses?.delete(response));
    handle(request, response.setHeaders(SECURITY_HEADERS));
  };
  const server =
    tls === null
      ? createServer(options, accept)
      : createTlsServer({ ...options, ...tls, handshakeTimeout: headerTimes.headersTimeout }, accept);
  server.maxConnections = MAX_CONNECTIONS;
  server.on(tls === null ? 'connection' : 'secureConnection', (socket: Duplex) => {
    const responses = new Set<ServerResponse>();
    pending.set(socket, responses);
    socket.once('close', () => closePipelined(responses));
  });
  server.on('checkContinue', (request, response) => {
    continueOnFirstRead(request, response);
    accept(request, response);
  });
  server.on('checkExpectation', accept);
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (socket.writableEnded) return; // refused already: the client has a moment to read the response
    const responses = pending.get(socket);
    if (responses === undefined) return void socket.destroy(); // not TLS
    const hasBegun = [...responses].some((each) => each.socket && each.headersSent);
    if (!socket.writable || hasBegun || error.code === 'ECONNRESET') socket.destroy();
    else {
      const refusal = parseError(error);
      const [pendingResponse] = responses; // the malformed bytes may be its body
      reporter.report(refusal, pendingResponse?.req ?? null);
      refuse(socket, refusal);
    }
  });
  return server;
}

/**
 * Closes the responses of a closed connection. Node emits 'close' only on the one that it is sending, and not on those
 * of pipelined requests behind it.
 */
function closePipelined(responses: ReadonlySet<ServerResponse>): void {
  for (const response of responses) {
    if (response.socket !== null || response.writableFinished) continue;
    response.destroy();
    response.emit('close');
  }
}

/**
 * Sends `100 Continue` when the body is first read: a request that its headers are enough to refuse is refused before
 * its client sends the body. A stream has no event for its first read, and the body has four readers (express, busboy,
 * tus and our own), so its `_read` is wrapped: the one method by which every way of reading obtains data.
 */
function continueOnFirstRead(request: IncomingMessage, response: ServerResponse): void {
  const read = request._read;
  request._read = (bytes) => {
    request._read = read;
    if (!response.headersSent) response.writeContinue();
    read.call(request, bytes);
  };
}

/** Responds to bytes that are not a complete request, and closes the connection. */
function refuse(socket: Duplex, error: RequestError): void {
  const { status } = problemOf(codeOf(error));
  const body = problemText(error);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    ...[...SECURITY_HEADERS].map(([name, value]) => `${name}: ${value}`),
    'Content-Type: application/problem+json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}

function parseError({ code, message }: NodeJS.ErrnoException): RequestError {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new RequestError('stalled', 'the headers of the request took too long to arrive');
    case 'HPE_HEADER_OVERFLOW':
      return new RequestError('header-too-long', 'the headers are too long');
    default:
      return new RequestError('bad-request', `malformed HTTP request: ${message}`);
  }
}
