import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { createCli } from '../../server/cli.js';
import { OPERATIONS } from '../../server/contract/operations.js';
import { formatsOf, OUTPUTS } from '../../server/contract/outputs.js';
import { CODES, type Problem, problemOf } from '../../server/contract/problems.js';

const page = await readFile(fileURLToPath(new URL('../../../docs/serving.md', import.meta.url)), 'utf8');
const access = await readFile(fileURLToPath(new URL('../../../docs/access.md', import.meta.url)), 'utf8');

it('states the status, the exit code and the title of every code', () => {
  const [, table = ''] = page.split('## Errors');
  const rows = [...table.matchAll(/^\| `([a-z-]+)` +\| (\d+) +\| (\d+) +\| (.+?) +\|$/gm)].map(
    ([, code, status, exitCode, title]) => ({
      code: code!,
      status: Number(status),
      exitCode: Number(exitCode),
      title: title!,
    }),
  );
  const byCode = (all: readonly Problem[]) => Object.fromEntries(all.map((each) => [each.code, each]));
  expect(byCode(rows)).toEqual(byCode(CODES.map(problemOf)));
});

it('names every flag of the server, each with its variable, and no others', async () => {
  const quiet = { signal: new AbortController().signal, stdout: () => {}, stderr: () => {} };
  const cli = await createCli(quiet, ['serve']);
  const { options } = cli.commands.find((command) => command.name() === 'serve')!;
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
  expect(known.filter(([, variable]) => variable === undefined)).toEqual([]);
  expect(Object.fromEntries(named)).toEqual(Object.fromEntries(known));
});

it('names every output with its formats, and no others', () => {
  const [, table = ''] = page.split('## Results');
  const rows = [...table.split('\n\n')[1]!.matchAll(/^\| `(\w+)` +\| (.+?) +\|/gm)].map(
    ([, output, formats]) => [output, [...formats!.matchAll(/`(\w+)`/g)].map(([, format]) => format)],
  );
  const known = OUTPUTS.map((output) => [output, formatsOf(output)]);
  expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(known));
});

it('names every route', () => {
  const all = Object.values(OPERATIONS).flatMap(({ path }) => path.match(/^\/v1\/\w+/) ?? []);
  const paths = [...new Set<string>(all)];
  expect(paths).toContain('/v1/segment');
  const pages = page + access;
  expect(paths.filter((path) => !pages.includes(` ${path}`) && !pages.includes(`\`${path}\``))).toEqual([]);
});
