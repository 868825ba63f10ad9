import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { KNOWN_OPERATORS } from '../../../model/imported/operators/table.js';

it('docs/models.md has every operator that is known, and no other', async () => {
  const [, section = ''] = (await readFile('docs/models.md', 'utf8')).split('## Operators');
  const [table = ''] = section.split(/^Most of them/m);
  const first = [...table.matchAll(/^\| (`[^|]+)\|/gm)].map(([, cell]) => cell!);
  const named = first.flatMap((cell) => [...cell.matchAll(/`([\w.:]+)`/g)].map(([, name]) => name!));
  expect(named.sort()).toEqual([...KNOWN_OPERATORS]);
});
