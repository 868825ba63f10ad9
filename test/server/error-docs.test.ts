import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { problemOf } from '../../server/contract/problems.js';

const page = await readFile('docs/gpu.md', 'utf8');

it('quotes errors as they are', async () => {
  const sources: string[] = [];
  for (const room of ['model', 'server']) {
    for (const file of await readdir(room, { recursive: true })) {
      if (file.endsWith('.ts')) sources.push(await readFile(join(room, file), 'utf8'));
    }
  }
  // A sentence may be written in two pieces; what `…` stands for is inserted.
  const code = sources.join('\n').replaceAll(/['"`] \+\s+['"`]/g, '');
  const [, table = ''] = page.split('## Errors');
  const cells = [...table.matchAll(/^\| (`.+?`) +\|/gm)].map(([, cell]) => cell!);
  const parts = cells.flatMap((cell) => cell.split(/`, `|…|`/)).map((part) => part.replace(/^,? | $/g, ''));
  const quoted = parts.filter((part) => part !== '');
  expect(quoted.length).toBeGreaterThan(40);
  expect(quoted.filter((part) => !code.includes(part))).toEqual([]);
});

it('states the exit codes of the table', () => {
  for (const code of ['device-unavailable', 'setup-failed', 'disk-full']) {
    expect(page.replaceAll('\n', ' ')).toMatch(
      new RegExp(`\`${code}\` \\((exit code )?${problemOf(code).exitCode}\\)`),
    );
  }
});
