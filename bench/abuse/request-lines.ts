import { PARAMETERS, POSTS, type RequestMutator, request, sendAndWait } from './request-parts.js';

/** Values that are invalid, hostile or unusual for most parameters. */
const ODD_VALUES = [
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

/** A method that a path does not have, or that does not exist. */
export const method: RequestMutator = (targets, random) => {
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
    return sendAndWait(
      `method ${nonsense.slice(0, 12)}`,
      request(targets, { method: nonsense, path }),
      'malformed',
    );
  }
  const chosen = random.pick(known);
  return sendAndWait(
    `${chosen} ${path}`,
    request(targets, { method: chosen, path }),
    'either',
    chosen === 'HEAD',
  );
};

/** A path that does not exist, or that tries to leave its folder. */
export const path: RequestMutator = (targets, random) => {
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
  return sendAndWait(`path ${chosen.slice(0, 60)}`, request(targets, { path: chosen }), 'either');
};

/** A parameter with an odd value, unknown, or given twice. */
export const query: RequestMutator = (targets, random) => {
  const name = random.pick(PARAMETERS);
  const value = random.chance(0.15)
    ? random.pick(['1', '9', '0,', '9.', 'auto,', 'a', '-']).repeat(random.between(100, 7000))
    : random.chance(0.3)
      ? String(random.pick([0, 1, 2, 63, 64, 1e6, -5, 2 ** 31, 2 ** 53, 0.1]))
      : random.pick(ODD_VALUES);
  const doubled = random.chance(0.1) ? `&${name}=x&${name}[a]=b` : '';
  const parameters = `${name === 'model' ? '' : `model=${targets.model}&`}${name}=${value}${doubled}`;
  const route = random.pick([...POSTS, '/v1/jobs', `/v1/jobs/${targets.job}/result`]);
  const post = POSTS.includes(route) && random.chance(0.8);
  const what = `${post ? 'POST' : 'GET'} ${route} with ${name}=${value.slice(0, 20)}${doubled && ' twice'}`;
  const parts = { path: `${route}?${parameters}`, ...(post && { method: 'POST', body: targets.image }) };
  return sendAndWait(what, request(targets, parts), 'either');
};
