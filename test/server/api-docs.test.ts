import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { Unseam } from '../../client/index.js';
import { OPERATIONS } from '../../server/contract/operations.js';
import { DATATYPES, TENSORS } from '../../server/contract/schemas/inference.js';
import { MAX_VALUES_BYTES } from '../../server/http/inference/read-request.js';

const api = await readFile('docs/api.md', 'utf8');
const paths = [...new Set(Object.values(OPERATIONS).map(({ path }) => path))];

it('docs/api.md names the paths of the Open Inference Protocol, and its tensors', () => {
  const own = paths.filter((path) => path.startsWith('/v2') && !path.includes('/versions/'));
  expect(own.length).toBeGreaterThan(6);
  const named = own.map((path) => path.replace('{name}', 'M'));
  expect(named.filter((path) => !api.includes(path))).toEqual([]);
  for (const name of [...TENSORS, ...Object.keys(DATATYPES)]) expect(api).toContain(`\`${name}\``);
  expect(api).toContain(`may have ${MAX_VALUES_BYTES / 2 ** 20} MiB`);
});

it('the methods of the client that it calls exist', () => {
  const unseam = new Unseam();
  const called = [...api.matchAll(/unseam\.((?:jobs\.|uploads\.)?\w+)\(/g)].map(([, name]) => name!);
  expect(called.length).toBeGreaterThan(6);
  const find = (name: string) =>
    name.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], unseam);
  expect(called.filter((name) => typeof find(name) !== 'function')).toEqual([]);
});
