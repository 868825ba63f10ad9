import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';

const page = await readFile('SECURITY.md', 'utf8');
const [, attacks = ''] = page.split('## Attacks');
const rows = attacks
  .split('## What is not defended')[0]!
  .split('\n')
  .filter((row) => /^\| (?!attack|risk|-)/.test(row));

/** The tests that a row of the tables names: files, and in each of them names. */
const testsOf = (row: string): { readonly file: string; readonly names: string[] }[] =>
  [...row.matchAll(/`(test\/[\w/.-]+\.ts)`((?:,? "[^"]+")+)/g)].map(([, file, names]) => ({
    file: file!,
    names: [...names!.matchAll(/"([^"]+)"/g)].map(([, name]) => name!),
  }));

it('SECURITY.md names a test for every attack', () => {
  expect(rows.length).toBeGreaterThan(30);
  expect(rows.filter((row) => testsOf(row).length === 0)).toEqual([]);
});

it('which exists', async () => {
  const missing: string[] = [];
  for (const { file, names } of rows.flatMap(testsOf)) {
    const text = existsSync(file) ? (await readFile(file, 'utf8')).replaceAll("\\'", "'") : '';
    // A part of the name is enough: the name of a test that runs over a table has more.
    for (const name of names) if (!text.includes(name)) missing.push(`${file}: ${name}`);
  }
  expect(missing).toEqual([]);
});
