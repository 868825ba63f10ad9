import type { Exchange } from './raw-http.js';
import {
  POSTS,
  type RequestExpectation,
  type RequestMutation,
  type RequestMutator,
  request,
  sendAndWait,
} from './request-parts.js';

/** A body in chunks, some of which violate HTTP. */
export const chunked: RequestMutator = (targets, random) => {
  const { image, model } = targets;
  const head = (more: string[] = []) =>
    request(targets, {
      method: 'POST',
      path: `/v1/segment?model=${model}`,
      headers: ['Transfer-Encoding: chunked', ...more],
    });
  const chunk = (bytes: Buffer, size = bytes.length.toString(16)) =>
    Buffer.concat([Buffer.from(`${size}\r\n`), bytes, Buffer.from('\r\n')]);
  const last = Buffer.from('0\r\n\r\n');
  const [what, send, expect, next] = random.pick<
    [string, (Buffer | number)[], RequestExpectation, Exchange['next']]
  >([
    ['sound', [head(), chunk(image), last], 'served', 'wait'],
    [
      'in three pieces',
      [
        head(),
        chunk(image.subarray(0, 50)),
        20,
        chunk(image.subarray(50, 99)),
        chunk(image.subarray(99)),
        last,
      ],
      'served',
      'wait',
    ],
    [
      'with extensions and trailers',
      [head(), chunk(image, `${image.length.toString(16)};a=b`), Buffer.from('0\r\nX: y\r\n\r\n')],
      'served',
      'wait',
    ],
    ['a size that is not a number', [head(), chunk(image, 'zz')], 'malformed', 'wait'],
    ['a negative size', [head(), chunk(image, '-5')], 'malformed', 'wait'],
    ['a size of 2^80', [head(), chunk(image, `1${'0'.repeat(20)}`)], 'malformed', 'wait'],
    ['a size of the wrong length', [head(), chunk(image, '5'), last], 'malformed', 'wait'],
    [
      'extensions of 100,000 characters',
      [head(), chunk(image, `${image.length.toString(16)};${'a'.repeat(100_000)}`), last],
      'malformed',
      'wait',
    ],
    ['no last chunk, and the client ends', [head(), chunk(image.subarray(0, 99))], 'malformed', 'end'],
    [
      'no last chunk, and the client disconnects',
      [head(), chunk(image), random.between(1, 50)],
      'nothing',
      'leave',
    ],
    ['with a Content-Length, too', [head(['Content-Length: 5']), chunk(image), last], 'malformed', 'wait'],
    [
      'chunks of one byte',
      [
        head(),
        ...Array.from(image.subarray(0, 200), (byte) => chunk(Buffer.of(byte))),
        chunk(image.subarray(200)),
        last,
      ],
      'served',
      'wait',
    ],
  ]);
  return { what: `chunked: ${what}`, send, next, expect };
};

/** A body that does not match its Content-Length, is not an image, or whose client disconnects. */
export const lengths: RequestMutator = (targets, random) => {
  const { image, model } = targets;
  const path = random.pick(POSTS.map((route) => `${route}?model=${model}`));
  const odd = random.pick(['-1', 'x', '1e3', '+5', '5, 6', '0x10', '99999999999999999999999']);
  const whole = { method: 'POST', path, body: image };
  const claims = (length: string) => request(targets, { ...whole, length });
  const pause = random.between(1, 60);
  return random.pick<RequestMutation>([
    sendAndWait(`Content-Length ${odd}`, claims(odd), 'malformed'),
    sendAndWait('Content-Length 0', request(targets, { ...whole, body: '' }), 'refused'),
    sendAndWait('a Content-Length of 9 TB', claims('9000000000000'), 'refused'),
    {
      what: 'a body that ends early',
      send: [claims(String(image.length + 100))],
      next: 'end',
      expect: 'malformed',
    },
    {
      what: 'a client that disconnects in the body',
      send: [claims(String(image.length + 100)), pause],
      next: 'leave',
      expect: 'nothing',
    },
    {
      what: 'a client that disconnects after the body',
      send: [claims(String(image.length)), pause],
      next: 'leave',
      expect: 'nothing',
    },
    {
      what: 'a client that disconnects in the header',
      send: [claims('5').subarray(0, 40), pause],
      next: 'leave',
      expect: 'nothing',
    },
    { what: 'a client that disconnects immediately', send: [], next: 'leave', expect: 'nothing' },
    sendAndWait(
      'a body of 2,000 bytes of noise',
      request(targets, { ...whole, body: random.bytes(2000) }),
      'refused',
    ),
    sendAndWait(
      'a body of text',
      request(targets, {
        ...whole,
        body: random.pick([
          '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
          '%PDF-1.4',
          'P5 9 9 255 ',
          'BM'.padEnd(60, '\0'),
          '#include',
          'Slidat = 1\n',
        ]),
      }),
      'refused',
    ),
    {
      what: 'two requests at once',
      send: [
        Buffer.concat([request(targets, { ...whole, last: false }), request(targets, { path: '/livez' })]),
      ],
      next: 'wait',
      expect: 'either',
    },
  ]);
};

/** A client that disconnects while it receives a job's events. */
export const events: RequestMutator = (targets, random) => {
  const path = `/v1/jobs/${random.pick([targets.job, '0'.repeat(32)])}/events`;
  const headers = [`Last-Event-ID: ${random.pick(['0', '-1', 'x', '1e99', '99999999999'])}`];
  return {
    what: `events of ${path}`,
    send: [request(targets, { path, headers }), random.between(1, 60)],
    next: 'leave',
    expect: 'nothing',
  };
};

/** A client that stalls in the middle of a body. In one of ten draws only, as each takes the whole idle timeout. */
export const silence: RequestMutator = (targets, random) => {
  const { image, model } = targets;
  const length = String(image.length);
  const path = random.pick(['/v1/segment', '/v1/jobs']);
  if (random.chance(0.9)) return events(targets, random);
  const send = [
    request(targets, { method: 'POST', path: `${path}?model=${model}`, length, body: image.subarray(0, 99) }),
  ];
  return { what: `stalled body of ${path}`, send, next: 'wait', expect: 'refused' };
};
