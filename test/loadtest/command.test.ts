import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { baselineSchema } from '../../loadtest/judge.js';
import { parseOptions, USAGE, UsageError } from '../../loadtest/options.js';
import { burst } from '../../loadtest/scenarios/burst.js';
import { interactive } from '../../loadtest/scenarios/interactive.js';
import { mixed } from '../../loadtest/scenarios/mixed.js';
import { soak } from '../../loadtest/scenarios/soak.js';
import { testFolder } from '../support/files.js';

const parse = (text: string, environment = {}) => parseOptions(text.split(' ').filter(Boolean), environment);

describe('npm run loadtest', () => {
  it('has a scenario, or shows how it is used', () => {
    expect(parse('mixed')).toMatchObject({ scenario: 'mixed', url: null, model: 'shapes', isJson: false });
    expect(parse('')).toBeNull();
    expect(parse('mixed --help')).toBeNull();
    for (const wrong of ['mxed', 'mixed burst', '--json']) expect(() => parse(wrong)).toThrow(UsageError);
  });

  it('says what is wrong with an option', () => {
    expect(() => parse('mixed --rate fast')).toThrow('--rate must be a positive number, not "fast"');
    expect(() => parse('mixed --seed 1.5')).toThrow('--seed must be a positive integer');
    expect(() => parse('mixed --url localhost:8080')).toThrow('--url must be an address such as');
    expect(() => parse('mixed --sized 3')).toThrow("Unknown option '--sized'");
  });

  it('takes a token from a file or the environment, never from the command line', async () => {
    const file = join(await testFolder(), 'token');
    await writeFile(file, 'unseam_a_b\n');
    expect(parse(`mixed --token-file ${file}`)?.token).toBe('unseam_a_b');
    expect(parse('mixed', { UNSEAM_TOKEN: 'unseam_c_d' })?.token).toBe('unseam_c_d');
    expect(parse('mixed')?.token).toBeNull();
    expect(() => parse('mixed --token-file /nowhere/token')).toThrow('--token-file cannot be read');
  });

  it('compares its own server with the committed baseline, others only if told so', () => {
    expect(parse('burst')?.baseline).toMatch(/loadtest\/baseline\.json$/);
    expect(parse('burst --url http://a:1/')).toMatchObject({
      baseline: null,
      url: 'http://a:1',
    });
    expect(parse('burst --url http://a:1 --baseline b.json')?.baseline).toBe('b.json');
    expect(parse('burst --baseline none')?.baseline).toBeNull();
  });

  it('has a committed baseline with every ratio of every scenario that can be compared', async () => {
    const baseline = baselineSchema.parse(JSON.parse(await readFile(parse('burst')!.baseline!, 'utf8')));
    for (const [name, { thresholds }] of Object.entries({ interactive, mixed, burst, soak }))
      expect([name, Object.keys(baseline[name] ?? {})]).toEqual([
        name,
        expect.arrayContaining(Object.keys(thresholds)),
      ]);
  });

  it('names every option in its help', () => {
    for (const option of ['url', 'token-file', 'model', 'seconds', 'rate', 'connections', 'seed'])
      expect(USAGE).toContain(`--${option}`);
  });
});
