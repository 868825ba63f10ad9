import {
  PARAMETERS,
  type RequestExpectation,
  type RequestMutator,
  request,
  sendAndWait,
} from './request-parts.js';

/** A JSON body that is cut, has the wrong types, or refers to a source that must not be read. */
export const json: RequestMutator = (targets, random) => {
  const { model, slide, host } = targets;
  const path = random.pick(['/v1/jobs', '/v1/plan']);
  const post = (
    what: string,
    body: string | Buffer,
    expect: RequestExpectation,
    type = 'application/json',
  ) => {
    const parts = { method: 'POST', path, headers: [`Content-Type: ${type}`], body };
    return sendAndWait(`${path}: ${what}`, request(targets, parts), expect);
  };
  const source = { path: slide };
  switch (random.below(8)) {
    case 0: {
      const text = JSON.stringify({ source, model });
      const stop = random.below(text.length);
      return post(`JSON cut to ${stop} characters`, text.slice(0, stop), 'refused');
    }
    case 1: {
      const body = random.pick([
        '[]',
        '7',
        '"x"',
        'null',
        '{}',
        '{"source":null}',
        '{"source":[]}',
        '{"source":{}}',
        '{"source":{"path":7}}',
        '{"source":{"path":""}}',
        '{"source":{"path":"x","url":"http://x"}}',
        '{"source":{"nothing":1}}',
      ]);
      return post(body, body, 'refused');
    }
    case 2: {
      const file = random.pick([
        '../etc/passwd',
        '/etc/passwd',
        `${slide}/../../x`,
        `${slide}\0.tif`,
        '..',
        '.',
        'link-out',
        'link-out/passwd',
        'C:\\x',
        '\\\\host\\x',
        '~',
        'a'.repeat(5000),
        `${slide}/`,
        'dev-zero',
        'fifo',
      ]);
      return post(
        `path ${JSON.stringify(file.slice(0, 30))}`,
        JSON.stringify({ source: { path: file }, model }),
        'refused',
      );
    }
    case 3: {
      const url = random.pick([
        'file:///etc/passwd',
        'http://169.254.169.254/latest/meta-data',
        `http://${host}/v1/jobs`,
        'http://127.0.0.1:1/x.tif',
        'ftp://x/y',
        'http://',
        'http://user:pw@evil.example/x.tif',
        'http://[::1]:1/x',
        'HTTP://LOCALHOST/x',
        'javascript:1',
        'http://127.1/x',
        'http://0x7f000001/',
        'data:image/png,x',
      ]);
      return post(`url ${url}`, JSON.stringify({ source: { url }, model }), 'refused');
    }
    case 4: {
      const upload = random.pick([
        '',
        'x',
        '../jobs',
        '0'.repeat(32),
        `/v1/uploads/${'f'.repeat(32)}`,
        `${'0'.repeat(32)}.json`,
        '..%2f',
        'a'.repeat(9000),
      ]);
      return post(`upload ${upload.slice(0, 20)}`, JSON.stringify({ source: { upload }, model }), 'refused');
    }
    case 5: {
      const name = random.pick(PARAMETERS.filter((parameter) => !['priority', 'output'].includes(parameter)));
      const value = random.pick<unknown>([
        null,
        {},
        [],
        [[[]]],
        true,
        -1,
        1e308,
        0.1,
        '',
        'x',
        { toString: 1 },
        ['a', { b: 1 }],
        '9'.repeat(20_000),
      ]);
      return post(
        `${name} is ${JSON.stringify(value).slice(0, 20)}`,
        JSON.stringify({ source, model, [name]: value }),
        'either',
      );
    }
    case 6: {
      const deep = random.pick([
        '['.repeat(60_000),
        '{"a":'.repeat(10_000),
        `{"source":${'['.repeat(30_000)}${']'.repeat(30_000)}}`,
        `{"source":{"path":"x"},"model":"${'x'.repeat(63_000)}"}`,
        ' '.repeat(70_000),
        `{"x":"${'y'.repeat(200_000)}"}`,
      ]);
      return post(`${deep.length} characters of ${JSON.stringify(deep.slice(0, 6))}`, deep, 'refused');
    }
    default: {
      const [bytes, type] = random.pick<[Buffer, string]>([
        [Buffer.from([0xff, 0xfe, 0x7b]), 'application/json'],
        [Buffer.from(JSON.stringify({ source, model }), 'utf16le'), 'application/json'],
        [Buffer.from('{"__proto__":{"source":{"path":"x"}}}'), 'application/json'],
        [Buffer.from('{"source":{"path":"x"},"constructor":{"prototype":{"a":1}}}'), 'application/json'],
        [Buffer.from('\ufeff{"source":{}}'), 'application/json'],
        [Buffer.from('{"source":{"path":"\\ud800"}}'), 'application/json'],
      ]);
      return post(`bytes ${bytes.toString('latin1', 0, 24)}`, bytes, 'refused', type);
    }
  }
};

/** A multipart body that lacks its image, is cut, or is oversized. */
export const multipart: RequestMutator = (targets, random) => {
  const { image, model } = targets;
  const part = (head: string, body: Buffer | string) =>
    Buffer.concat([Buffer.from(`--b\r\n${head}\r\n\r\n`), Buffer.from(body), Buffer.from('\r\n')]);
  const field = (name: string, file = 'x.png') =>
    part(
      `Content-Disposition: form-data; name="${name}"; filename="${file}"\r\nContent-Type: image/png`,
      image,
    );
  const end = Buffer.from('--b--\r\n');
  const sound = Buffer.concat([field('image'), end]);
  const [what, body, expect] = random.pick<[string, Buffer, RequestExpectation]>([
    ['sound', sound, 'served'],
    ['a field of another name', Buffer.concat([field('picture'), end]), 'refused'],
    ['two images', Buffer.concat([field('image'), field('image'), end]), 'either'],
    ['an odd file name', Buffer.concat([field('image', '../../../etc/passwd'), end]), 'served'],
    ['a file name of 8,000 characters', Buffer.concat([field('image', 'x'.repeat(8000)), end]), 'either'],
    [
      'no file',
      Buffer.concat([part('Content-Disposition: form-data; name="image"', 'text'), end]),
      'refused',
    ],
    ['no end', field('image'), 'either'],
    ['cut in the image', sound.subarray(0, random.between(100, sound.length - 40)), 'refused'],
    ['cut in the head', sound.subarray(0, random.between(1, 60)), 'refused'],
    ['another boundary', Buffer.from(sound.toString('latin1').replaceAll('--b', '--c'), 'latin1'), 'refused'],
    [
      'an empty image',
      Buffer.concat([part('Content-Disposition: form-data; name="image"; filename="x"', ''), end]),
      'refused',
    ],
    [
      'a head of 100,000 characters',
      Buffer.concat([
        part(
          `Content-Disposition: form-data; name="image"; filename="x"\r\nX: ${'y'.repeat(100_000)}`,
          image,
        ),
        end,
      ]),
      'either',
    ],
    [
      '500 fields',
      Buffer.concat([
        ...Array.from({ length: 500 }, (_, i) => part(`Content-Disposition: form-data; name="f${i}"`, 'x')),
        field('image'),
        end,
      ]),
      'either',
    ],
    ['nothing', Buffer.alloc(0), 'refused'],
    ['noise', random.bytes(2000), 'refused'],
  ]);
  const parts = {
    method: 'POST',
    path: `/v1/segment?model=${model}`,
    headers: ['Content-Type: multipart/form-data; boundary=b'],
    body,
  };
  return sendAndWait(`multipart: ${what}`, request(targets, parts), expect);
};
