import type { Exchange } from './raw-http.js';
import {
  type Make,
  POSTS,
  type RequestExpectation,
  type RequestMutation,
  request,
  waits,
} from './request-parts.js';

export const tus: Make = (targets, random) => {
  const { image } = targets;
  const version = 'Tus-Resumable: 1.0.0';
  const create = (what: string, headers: string[], expect: RequestExpectation, body: Buffer | string = '') =>
    waits(`tus: ${what}`, request(targets, { method: 'POST', path: '/v1/uploads', headers, body }), expect);
  const unknown = `/v1/uploads/${random.bytes(16).toString('hex')}`;
  switch (random.below(8)) {
    case 0: {
      const length = random.pick([
        '-1',
        'x',
        '1e9',
        '99999999999999999999',
        '',
        '0x10',
        '1.5',
        String(2 ** 53),
      ]);
      return create(`Upload-Length ${length}`, [version, `Upload-Length: ${length}`], 'refused');
    }
    case 1:
      return create('without a version', ['Upload-Length: 10'], 'refused');
    case 2: {
      const metadata = random.pick([
        'filename',
        'filename !!!',
        'filename ,',
        ',,,',
        'filename eA==,filename eA==',
        `filename ${'QUFB'.repeat(2000)}`,
        'filename Li4vLi4vZXRj',
      ]);
      return create(
        `Upload-Metadata ${metadata.slice(0, 24)}`,
        [version, 'Upload-Length: 10', `Upload-Metadata: ${metadata}`],
        'either',
      );
    }
    case 3:
      return create(
        'with its bytes',
        [version, `Upload-Length: ${image.length}`, 'Content-Type: application/offset+octet-stream'],
        'served',
        image,
      );
    case 4:
      return create(
        'with more bytes than it says',
        [version, 'Upload-Length: 10', 'Content-Type: application/offset+octet-stream'],
        'either',
        image,
      );
    case 5: {
      const verb = random.pick(['HEAD', 'PATCH', 'DELETE', 'GET']);
      const parts = {
        method: verb,
        path: unknown,
        headers: [version, 'Upload-Offset: 0', 'Content-Type: application/offset+octet-stream'],
        ...(verb === 'PATCH' && { body: 'x' }),
      };
      return waits(`tus: ${verb} of an unknown upload`, request(targets, parts), 'refused', verb === 'HEAD');
    }
    case 6: {
      const odd = random.pick([
        '/v1/uploads/..%2f..%2fjobs',
        '/v1/uploads/../jobs/x',
        '/v1/uploads/%00',
        '/v1/uploads/.',
        `/v1/uploads/${'a'.repeat(5000)}`,
      ]);
      return waits(
        `tus: PATCH ${odd.slice(0, 30)}`,
        request(targets, {
          method: 'PATCH',
          path: odd,
          headers: [version, 'Upload-Offset: 0', 'Content-Type: application/offset+octet-stream'],
          body: 'x',
        }),
        'refused',
      );
    }
    default: {
      const header = random.pick([
        'Upload-Defer-Length: 2',
        'Upload-Defer-Length: 1\r\nUpload-Length: 5',
        'Upload-Concat: final;/v1/uploads/x',
        'X-Nothing: 1',
      ]);
      return create(header, [version, header], 'refused');
    }
  }
};

export const chunked: Make = (targets, random) => {
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
    ['a size that is no number', [head(), chunk(image, 'zz')], 'malformed', 'wait'],
    ['a negative size', [head(), chunk(image, '-5')], 'malformed', 'wait'],
    ['a size of 2^80', [head(), chunk(image, `1${'0'.repeat(20)}`)], 'malformed', 'wait'],
    ['a size of the wrong length', [head(), chunk(image, '5'), last], 'malformed', 'wait'],
    [
      'extensions of 100,000 characters',
      [head(), chunk(image, `${image.length.toString(16)};${'a'.repeat(100_000)}`), last],
      'malformed',
      'wait',
    ],
    ['no end, then it is over', [head(), chunk(image.subarray(0, 99))], 'malformed', 'end'],
    ['no end, and the client leaves', [head(), chunk(image), random.between(1, 50)], 'nothing', 'leave'],
    ['with a length beside it', [head(['Content-Length: 5']), chunk(image), last], 'malformed', 'wait'],
    [
      'one byte a chunk',
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

export const lengths: Make = (targets, random) => {
  const { image, model } = targets;
  const path = random.pick(POSTS.map((route) => `${route}?model=${model}`));
  const odd = random.pick(['-1', 'x', '1e3', '+5', '5, 6', '0x10', '99999999999999999999999']);
  const whole = { method: 'POST', path, body: image };
  const claims = (length: string) => request(targets, { ...whole, length });
  const pause = random.between(1, 60);
  return random.pick<RequestMutation>([
    waits(`Content-Length ${odd}`, claims(odd), 'malformed'),
    waits('Content-Length 0', request(targets, { ...whole, body: '' }), 'refused'),
    waits('a Content-Length of 9 TB', claims('9000000000000'), 'refused'),
    {
      what: 'a body that ends early',
      send: [claims(String(image.length + 100))],
      next: 'end',
      expect: 'malformed',
    },
    {
      what: 'a client that leaves in the body',
      send: [claims(String(image.length + 100)), pause],
      next: 'leave',
      expect: 'nothing',
    },
    {
      what: 'a client that leaves after the body',
      send: [claims(String(image.length)), pause],
      next: 'leave',
      expect: 'nothing',
    },
    {
      what: 'a client that leaves in the head',
      send: [claims('5').subarray(0, 40), pause],
      next: 'leave',
      expect: 'nothing',
    },
    { what: 'a client that leaves at once', send: [], next: 'leave', expect: 'nothing' },
    waits(
      'a body of 2,000 bytes of noise',
      request(targets, { ...whole, body: random.bytes(2000) }),
      'refused',
    ),
    waits(
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

export const events: Make = (targets, random) => {
  const path = `/v1/jobs/${random.pick([targets.job, '0'.repeat(32)])}/events`;
  const headers = [`Last-Event-ID: ${random.pick(['0', '-1', 'x', '1e99', '99999999999'])}`];
  return {
    what: `events of ${path}`,
    send: [request(targets, { path, headers }), random.between(1, 60)],
    next: 'leave',
    expect: 'nothing',
  };
};

/** Rare, as each takes as long as silence may. */
export const silence: Make = (targets, random) => {
  const { image, model } = targets;
  const length = String(image.length);
  const path = random.pick(['/v1/segment', '/v1/jobs']);
  if (random.chance(0.9)) return events(targets, random);
  const send = [
    request(targets, { method: 'POST', path: `${path}?model=${model}`, length, body: image.subarray(0, 99) }),
  ];
  return { what: `silence in the body of ${path}`, send, next: 'wait', expect: 'refused' };
};
