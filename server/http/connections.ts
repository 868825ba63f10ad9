import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Duplex } from 'node:stream';
import { RequestError } from '../contract/errors.js';
import { codeOf, problemOf } from '../contract/problems.js';
import { LINGER_MS, problemText } from './problem.js';

/** What every answer says to browsers; the page allows itself more. */
const SECURITY = new Map([
  ['Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'"],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
  ['Referrer-Policy', 'no-referrer'],
  ['X-Content-Type-Options', 'nosniff'],
  ['X-Frame-Options', 'DENY'],
]);
/** How long a request's headers may take, and how often that is looked at, in ms. */
const HEADERS = { headersTimeout: 15_000, connectionsCheckingInterval: 5000 };
/** Listeners of events and idle connections cost little, but something. */
const MAX_CONNECTIONS = 4096;

/**
 * The server below its routes: how many connections it has, how long headers take, and what node would
 * answer by itself, so that every answer is a problem with the headers that all have. Does not listen.
 * @param headers how long they may take, 15 s by default
 */
export function createHttpServer(handle: RequestListener, headers = HEADERS): Server {
  // A slide may take an hour to send: its body has a least rate (see watchBodies) instead of a time.
  // A request without a Host is refused where others are.
  const options = { requestTimeout: 0, requireHostHeader: false, ...headers };
  const answers = new WeakMap<Duplex, Set<ServerResponse>>();
  const take: RequestListener = (request, response) => {
    const open = answers.get(request.socket);
    open?.add(response);
    response.once('close', () => open?.delete(response));
    handle(request, response.setHeaders(SECURITY));
  };
  const server = createServer(options, take);
  server.maxConnections = MAX_CONNECTIONS;
  server.on('connection', (socket) => {
    const open = new Set<ServerResponse>();
    answers.set(socket, open);
    socket.once('close', () => closeQueued(open));
  });
  server.on('checkContinue', (request, response) => {
    continueWhenRead(request, response);
    take(request, response);
  });
  server.on('checkExpectation', take);
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (socket.writableEnded) return; // it has its answer, and a moment to read it
    const isAnswered = [...(answers.get(socket) ?? [])].some((each) => each.socket && each.headersSent);
    if (!socket.writable || isAnswered || error.code === 'ECONNRESET') socket.destroy();
    else refuse(socket, unreadable(error));
  });
  return server;
}

/** Node tells only the answer that is being sent of its connection's end, and none of those behind it. */
function closeQueued(open: ReadonlySet<ServerResponse>): void {
  for (const response of open) {
    if (response.socket !== null || response.writableFinished) continue;
    response.destroy();
    response.emit('close');
  }
}

/**
 * Has a client that waits with its body (`Expect: 100-continue`) send it when it is first read: what is refused
 * by its head alone is refused before.
 */
function continueWhenRead(request: IncomingMessage, response: ServerResponse): void {
  const read = request._read;
  request._read = (bytes) => {
    request._read = read;
    if (!response.headersSent) response.writeContinue();
    read.call(request, bytes);
  };
}

/** Answers what is no request, or not a whole one, and ends its connection. */
function refuse(socket: Duplex, error: RequestError): void {
  const { status } = problemOf(codeOf(error));
  const body = problemText(error);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    ...[...SECURITY].map(([name, value]) => `${name}: ${value}`),
    'Content-Type: application/problem+json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}

function unreadable({ code, message }: NodeJS.ErrnoException): RequestError {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new RequestError('stalled', 'the headers of the request took too long');
    case 'HPE_HEADER_OVERFLOW':
      return new RequestError('header-too-long', 'the headers are longer than all that is read of them');
    default:
      return new RequestError('bad-request', `the request is no HTTP that is read here: ${message}`);
  }
}
