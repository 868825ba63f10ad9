import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Outcomes } from '../../../model/exactness/outcomes.js';
import { testFolder } from '../../support/files.js';

const path = join(await testFolder(), 'self-tests.json');

describe('outcomes of tests', () => {
  it('are computed once per key, and persist across processes in a file', async () => {
    let ran = 0;
    const test = async () => ++ran > 0;
    const first = new Outcomes(path, z.boolean());
    expect(await Promise.all([first.of({ net: 'a' }, test), first.of({ net: 'a' }, test)])).toEqual([
      true,
      true,
    ]);
    expect(await new Outcomes(path, z.boolean()).of({ net: 'a' }, test)).toBe(true);
    expect(ran).toBe(1);
    expect(await new Outcomes(path, z.boolean()).of({ net: 'b' }, async () => false)).toBe(false);
    expect(await new Outcomes(path, z.boolean()).of({ net: 'b' }, test)).toBe(false);
  });

  it.each([
    '{"form": 1, "outcomes": {"',
    '[]',
    '{"form": 2, "outcomes": {}}',
    '{"form": 1, "outcomes": {"a": "yes"}}',
  ])('are found anew where the file is torn or foreign: %s', async (text) => {
    await writeFile(path, text);
    expect(await new Outcomes(path, z.boolean()).of({ net: 'a' }, async () => false)).toBe(false);
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ form: 1 });
  });

  it('are known once they were found, without another test', async () => {
    const outcomes = new Outcomes(null, z.number());
    expect(await outcomes.known('a')).toBeUndefined();
    await outcomes.of('a', async () => 7);
    expect(await outcomes.known('a')).toBe(7);
  });

  it('are not cached when the test could not run', async () => {
    const outcomes = new Outcomes(null, z.boolean());
    await expect(outcomes.of('c', () => Promise.reject(new Error('lost')))).rejects.toThrow('lost');
    expect(await outcomes.of('c', async () => true)).toBe(true);
  });

  it('are bounded, in memory, too: the oldest are found anew', async () => {
    const outcomes = new Outcomes(null, z.number());
    for (let i = 0; i <= 1000; i++) await outcomes.of(i, async () => i);
    expect(await outcomes.of(1000, async () => -1)).toBe(1000);
    expect(await outcomes.of(0, async () => -1)).toBe(-1);
  });

  it('are as new as they were replaced, also while their test runs', async () => {
    const outcomes = new Outcomes(null, z.number());
    for (let i = 0; i < 1000; i++) await outcomes.of(i, async () => i);
    await outcomes.set(0, -1);
    await outcomes.of(1000, async () => 1000);
    expect(await outcomes.known(0)).toBe(-1);

    const replaced = outcomes.of('a', async () => {
      await outcomes.set('a', 1);
      return 2;
    });
    expect([await replaced, await outcomes.known('a')]).toEqual([1, 1]);
  });
});
