import {
  type RequestExpectation,
  type RequestMutation,
  type RequestMutator,
  request,
  sendAndWait,
} from './request-parts.js';

/** A header that is invalid, hostile or unusual. */
export const headers: RequestMutator = (targets, random) => {
  const { model, image, job } = targets;
  const segment = { method: 'POST', path: `/v1/segment?model=${model}`, body: image };
  const send = (what: string, line: string, expect: RequestExpectation): RequestMutation =>
    sendAndWait(what, request(targets, { ...segment, headers: [line] }), expect);
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
      return sendAndWait(`Host ${host}`, request(targets, { path: '/v1/jobs', host }), 'refused');
    }
    case 1:
      return random.chance(0.5)
        ? sendAndWait('without Host', request(targets, { path: '/v1/jobs', host: null }), 'malformed')
        : sendAndWait(
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
      return send('same Origin', `Origin: http://${targets.host}`, 'served');
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
      return sendAndWait(`Content-Encoding ${encoding} of JSON`, request(targets, parts), 'refused');
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
      return sendAndWait(
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
      return sendAndWait(
        `Idempotency-Key ${JSON.stringify(key.slice(0, 6))}`,
        request(targets, parts),
        'either',
      );
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
      const isUpgrade = line.startsWith('Upgrade'); // Node itself rejects the others
      return send(`header ${JSON.stringify(line.slice(0, 24))}`, line, isUpgrade ? 'either' : 'malformed');
    }
  }
};
