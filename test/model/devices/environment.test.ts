import { describe, expect, it } from 'vitest';
import {
  deviceFacts,
  type Environment,
  environmentOf,
  processorOf,
} from '../../../model/devices/environment.js';

const linux = (flags: string) =>
  `processor\t: 0\nmodel name\t: Xeon  E5\nflags\t\t: fpu sse2 ${flags}\nbugs\t: \n`;
const nowhere = { model: 'Apple M2', arch: 'arm64' };

describe('a processor', () => {
  it.each([
    ['avx avx2 avx512f avx512bw', 'avx512'],
    ['avx fma avx2', 'avx2'],
    ['avx', 'avx'],
    ['', 'sse2'],
  ])('with "%s" computes with %s', (flags, instructionSet) => {
    expect(processorOf(linux(flags), nowhere)).toEqual({ cpu: 'Xeon  E5', instructionSet });
  });

  it('of ARM lists its features; on other systems only its name and architecture are known', () => {
    expect(processorOf('Features\t: fp asimd\n', { model: 'unknown', arch: 'arm64' }).instructionSet).toBe(
      'neon',
    );
    expect(processorOf('', nowhere)).toEqual({ cpu: 'Apple M2', instructionSet: 'neon' });
    expect(processorOf('', { model: ' ', arch: 'x64' })).toEqual({ cpu: 'unknown', instructionSet: 'x64' });
  });
});

describe('the environment', () => {
  it('distinguishes machines that round differently', () => {
    const environment = environmentOf('cpu', 16);
    const other = { ...environment, instructionSet: 'avx2', channelBlock: 8 };
    const facts = (of: Environment) => deviceFacts(of, { lanes: 1, threads: 2 }).device;
    expect(facts(environment)).toMatch(/^cpu \(2 threads\): .*, blocks of 16$/);
    expect(facts(environment)).not.toBe(facts(other));
    expect(Object.keys(environment.versions)).toEqual(
      expect.arrayContaining(['unseam', 'node', 'onnxruntime-node']),
    );
  });

  it.each([
    [4, 1, '4 lanes of 1 thread'],
    [2, 8, '2 lanes of 8 threads'],
    [1, 1, '1 thread'],
  ])('is stated with its %i lanes of %i threads', (lanes, threads, stated) => {
    expect(deviceFacts(environmentOf('cpu', 16), { lanes, threads }).device).toContain(`cpu (${stated}):`);
  });
});
