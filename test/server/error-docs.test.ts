import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { problemOf } from '../../server/contract/problems.js';

/** The code without its comments; a sentence that is written in two pieces is one. */
async function sources(): Promise<string> {
  const files: string[] = [];
  for (const room of ['model', 'server']) {
    for (const file of await readdir(room, { recursive: true })) {
      if (file.endsWith('.ts')) files.push(await readFile(join(room, file), 'utf8'));
    }
  }
  const code = files.join('\n').replaceAll(/^\s*(\/\*\*|\*|\/\/).*$/gm, '');
  return code.replaceAll(/['"`] \+\s+['"`]/g, '');
}
const code = await sources();

/** Whether one string of the code has a sentence, in which `…` stands for what is inserted. */
function isInCode(sentence: string): boolean {
  const parts = sentence.split('…').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(parts.join('\\$\\{(?:[^{}]|\\{[^{}]*\\})*\\}')).test(code);
}

/** The errors that a page quotes, in the first columns of its tables. */
async function quoted(page: string): Promise<string[]> {
  const [, tables = ''] = (await readFile(page, 'utf8')).split('## Errors');
  return [...tables.matchAll(/^\| (`.+?) +\|/gm)].flatMap(([, cell]) =>
    [...cell!.matchAll(/`(.+?)`/g)].map(([, sentence]) => sentence!),
  );
}

describe.each(['docs/gpu.md', 'docs/engines.md'])('%s', (page) => {
  it('quotes errors as they are', async () => {
    const sentences = await quoted(page);
    expect(sentences.length).toBeGreaterThan(8);
    expect(sentences.filter((sentence) => !isInCode(sentence))).toEqual([]);
  });

  it('quotes enough of each that no other sentence has it', async () => {
    const short = (await quoted(page)).filter((sentence) => sentence.replaceAll(/[^a-z]/gi, '').length < 9);
    expect(short).toEqual([]);
  });
});

it('a sentence is found as a whole only', () => {
  expect(isInCode('the process of … ended')).toBe(true);
  expect(isInCode('the process of … hung')).toBe(false);
  expect(isInCode('the process of … is ended')).toBe(false);
});

it('docs/gpu.md states the exit codes of the table', async () => {
  const page = (await readFile('docs/gpu.md', 'utf8')).replaceAll('\n', ' ');
  for (const code of ['device-unavailable', 'setup-failed', 'disk-full']) {
    expect(page).toMatch(new RegExp(`\`${code}\` \\((exit code )?${problemOf(code).exitCode}\\)`));
  }
});
