import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { createCli } from '../../server/cli.js';
import { CODES, problemOf } from '../../server/contract/problems.js';

const page = await readFile(fileURLToPath(new URL('../../../docs/serving.md', import.meta.url)), 'utf8');

/** The codes of a table's rows, each with the number that its row begins with. */
function numbered(heading: string): Record<string, number> {
  const [, table = ''] = page.split(heading);
  const rows = table
    .trimStart()
    .split('\n\n')[0]!
    .matchAll(/^\| (\d+) +\| (.+) \|$/gm);
  return Object.fromEntries(
    [...rows].flatMap(([, number, codes]) =>
      [...codes!.matchAll(/`([a-z-]+)`/g)].map(([, code]) => [code, Number(number)]),
    ),
  );
}
const all = (what: 'status' | 'exitCode') =>
  Object.fromEntries(CODES.map((code) => [code, problemOf(code)[what]]));

it('says the status of every code, and its exit code', () => {
  expect(numbered('| status | codes')).toEqual(all('status'));
  expect(numbered('| exit code | codes')).toEqual(all('exitCode'));
});

it('names every flag of the server with its variable, and no others', () => {
  const quiet = { signal: new AbortController().signal, stdout: () => {}, stderr: () => {} };
  const { options } = createCli(quiet).commands.find((command) => command.name() === 'serve')!;
  const [, table = ''] = page.split(/^\| flag +\| environment.*\n.*\n/m);
  const rows = table
    .split('\n\n')[0]!
    .split('\n')
    .map((row) => row.split(' | '));
  const named = rows.flatMap(([flags = '', variables = '']) => {
    const names = [...variables.matchAll(/`(\w+)`/g)].map(([, name]) => name);
    return [...flags.matchAll(/`(--[a-z-]+)/g)].map(([, flag], i) => [flag, names[i]]);
  });
  const known = options.filter(({ hidden }) => !hidden).map(({ long, envVar }) => [long, envVar]);
  expect(Object.fromEntries(named)).toEqual(Object.fromEntries(known));
});
