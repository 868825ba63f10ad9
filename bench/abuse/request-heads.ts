import {
  type Make,
  PARAMETERS,
  POSTS,
  type RequestExpectation,
  type RequestMutation,
  request,
  waits,
} from './request-parts.js';

const ODD = [
  '',
  '0',
  '-1',
  '1e999',
  'NaN',
  'Infinity',
  '0x10',
  '1,2',
  '٣',
  '%00',
  '%2e%2e%2f',
  '%zz',
  '%ff%fe',
  "'%20or%201=1",
  '{{7*7}}',
  '[object%20Object]',
  'null',
  'true',
  '%F0%9F%92%A9',
];

export const method: Make = (targets, random) => {
  const known = ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND', 'LINK', 'QUERY'];
  const path = random.pick([
    ...POSTS,
    '/v1/models',
    '/metrics',
    '/',
    '/livez',
    '/nothing',
    `/v1/jobs/${'0'.repeat(32)}`,
  ]);
  if (random.chance(0.2)) {
    const nonsense = random.pick(['GE T', 'get', 'GÉT', '', 'CONNECTX', 'A'.repeat(5000)]);
    return waits(
      `method ${nonsense.slice(0, 12)}`,
      request(targets, { method: nonsense, path }),
      'malformed',
    );
  }
  const chosen = random.pick(known);
  return waits(`${chosen} ${path}`, request(targets, { method: chosen, path }), 'either', chosen === 'HEAD');
};

export const path: Make = (targets, random) => {
  const { job } = targets;
  const chosen = random.pick([
    ...[
      '/v1/../../etc/passwd',
      '/..%2f..%2fetc%2fpasswd',
      '/%2e%2e/%2e%2e/etc/passwd',
      '//etc/passwd',
      '/v1/models/..',
      '/v1/models/%2e%2e',
    ],
    ...[
      '/v1/models/..%2f..%2f..%2fetc',
      '/v1/models/%00',
      '/v1/models/x%2f1/curves.svg',
      '/v1/jobs/..%2fuploads',
      '/v1/jobs/%zz',
      '/%',
      '/v1/jobs/%c0%ae',
    ],
    ...[
      `/v1/jobs/${job}/image_files/0/0_0.png`,
      `/v1/jobs/${job}/image_files/99/0_0.jpeg`,
      `/v1/jobs/${job}/image_files/-1/0_0.jpeg`,
    ],
    ...[
      `/v1/jobs/${job}/mask_files/3/9999999_9999999.png`,
      `/v1/jobs/${job}/mask_files/0/0_0.png/..`,
      `/v1/jobs/${job}/result/../../..`,
    ],
    ...[
      `/v1/jobs/${job.toUpperCase()}`,
      `/v1/jobs/${job}%20`,
      `/v1/jobs/${job}/nothing`,
      `/v1/jobs/${'a'.repeat(7000)}`,
      `/${'x/'.repeat(3000)}`,
    ],
    ...[
      '/static/../../../package.json',
      '/static/..%2f..%2fpackage.json',
      '/openapi.json?x',
      '/favicon.ico',
      '/?%',
      '/v1/jobs?limit=%',
      '*',
      '/v1/jobs;x=1',
    ],
  ]);
  return waits(`path ${chosen.slice(0, 60)}`, request(targets, { path: chosen }), 'either');
};

export const query: Make = (targets, random) => {
  const name = random.pick(PARAMETERS);
  const value = random.chance(0.15)
    ? random.pick(['1', '9', '0,', '9.', 'auto,', 'a', '-']).repeat(random.between(100, 7000))
    : random.chance(0.3)
      ? String(random.pick([0, 1, 2, 63, 64, 1e6, -5, 2 ** 31, 2 ** 53, 0.1]))
      : random.pick(ODD);
  const doubled = random.chance(0.1) ? `&${name}=x&${name}[a]=b` : '';
  const parameters = `${name === 'model' ? '' : `model=${targets.model}&`}${name}=${value}${doubled}`;
  const route = random.pick([...POSTS, '/v1/jobs', `/v1/jobs/${targets.job}/result`]);
  const post = POSTS.includes(route) && random.chance(0.8);
  const what = `${post ? 'POST' : 'GET'} ${route} with ${name}=${value.slice(0, 20)}${doubled && ' twice'}`;
  const parts = { path: `${route}?${parameters}`, ...(post && { method: 'POST', body: targets.image }) };
  return waits(what, request(targets, parts), 'either');
};

export const headers: Make = (targets, random) => {
  const { model, image, job } = targets;
  const segment = { method: 'POST', path: `/v1/segment?model=${model}`, body: image };
  const send = (what: string, line: string, expect: RequestExpectation): RequestMutation =>
    waits(what, request(targets, { ...segment, headers: [line] }), expect);
  switch (random.below(12)) {
    case 0: {
      const host = random.pick([
        'evil.example',
        'evil.example:80',
        '127.0.0.1.evil.example',
        '[::1',
        '169.254.169.254',
        'localhost.evil.example',
        'a b',
      ]);
      return waits(`Host ${host}`, request(targets, { path: '/v1/jobs', host }), 'refused');
    }
    case 1:
      return random.chance(0.5)
        ? waits('without Host', request(targets, { path: '/v1/jobs', host: null }), 'malformed')
        : waits(
            'Host localhost',
            request(targets, { path: '/v1/jobs', host: targets.host.replace('127.0.0.1', 'localhost') }),
            'served',
          );
    case 2: {
      const origin = random.pick([
        'https://evil.example',
        'null',
        'http://127.0.0.1:1',
        'http://localhost.evil.example',
        'file://',
      ]);
      return send(`Origin ${origin}`, `Origin: ${origin}`, 'refused');
    }
    case 3:
      return send(
        'Sec-Fetch-Site cross-site',
        `Sec-Fetch-Site: ${random.pick(['cross-site', 'same-site'])}`,
        'refused',
      );
    case 4:
      return send('its own Origin', `Origin: http://${targets.host}`, 'served');
    case 5: {
      const accept = random.pick([
        'text/html',
        'image/webp',
        'application/x-nothing',
        '*/*;q=0',
        'a'.repeat(4000),
        ';;;',
        'image/png;q=1e9',
        ',,,',
      ]);
      return send(`Accept ${accept.slice(0, 20)}`, `Accept: ${accept}`, 'either');
    }
    case 6: {
      const type = random.pick([
        'multipart/form-data',
        'multipart/form-data; boundary=',
        'multipart/form-data; boundary="',
        'application/json',
        'application/json; charset=utf-7',
        'text/html',
        '/',
        'multipart/form-data; boundary=x'.padEnd(3000, 'x'),
      ]);
      return send(`Content-Type ${type.slice(0, 40)}`, `Content-Type: ${type}`, 'either');
    }
    case 7: {
      const encoding = random.pick(['gzip', 'br', 'deflate', 'identity', 'nothing', 'gzip, gzip']);
      const parts = {
        method: 'POST',
        path: '/v1/jobs',
        headers: ['Content-Type: application/json', `Content-Encoding: ${encoding}`],
        body: '{"source":{"path":"x"}}',
      };
      return waits(`Content-Encoding ${encoding} of JSON`, request(targets, parts), 'refused');
    }
    case 8: {
      const range = random.pick([
        'bytes=0-0',
        'bytes=99999999-',
        'bytes=-0',
        'bytes=5-1',
        'bytes=0-1,3-4',
        'bytes=a-b',
        'lines=1-2',
        'bytes=-99999999',
        `bytes=${'0-1,'.repeat(500)}`,
      ]);
      return waits(
        `Range ${range.slice(0, 24)}`,
        request(targets, { path: `/v1/jobs/${job}/result`, headers: [`Range: ${range}`] }),
        'either',
      );
    }
    case 9: {
      const line = random.pick([
        'If-None-Match: *',
        'If-None-Match: "',
        'If-Range: x',
        'Prefer: respond-async, respond-async',
        'Prefer: ;',
        'X: '.padEnd(4000, 'y'),
        'Cookie: a=b',
        'Forwarded: for=1',
        'X-Forwarded-Host: evil.example',
        'X-HTTP-Method-Override: DELETE',
        'Expect: 100-continue',
      ]);
      return send(line.slice(0, 30), line, 'either');
    }
    case 10: {
      const key = random.pick(['', 'k'.repeat(4000), 'a\tb', '"', '\xff']);
      const parts = {
        method: 'POST',
        path: `/v1/jobs?model=${model}`,
        headers: [`Idempotency-Key: ${key}`],
        body: image,
      };
      return waits(`Idempotency-Key ${JSON.stringify(key.slice(0, 6))}`, request(targets, parts), 'either');
    }
    default: {
      const line = random.pick([
        'Bad Header: x',
        'X: a\0b',
        ': empty',
        'X'.repeat(70_000),
        'Content-Length: 5',
        'Transfer-Encoding: chunked, nothing',
        'Expect: nothing',
        'Upgrade: websocket\r\nConnection: Upgrade',
      ]);
      const sound = line.startsWith('Upgrade'); // what is expected of a server, node refuses by itself
      return send(`header ${JSON.stringify(line.slice(0, 24))}`, line, sound ? 'either' : 'malformed');
    }
  }
};
