import { describe, expect, it } from 'vitest';
import { deviceFacts, environmentOf, processorOf } from '../../model/environment.js';

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
    const environment = environmentOf({ provider: 'cpu', threads: 2 }, 16);
    const other = { ...environment, instructionSet: 'avx2', channelBlock: 8 };
    expect(deviceFacts(environment).device).toMatch(/^cpu \(2 threads\): .*, blocks of 16$/);
    expect(deviceFacts(environment).device).not.toBe(deviceFacts(other).device);
    expect(Object.keys(environment.versions)).toEqual(
      expect.arrayContaining(['unseam', 'node', 'onnxruntime-node']),
    );
  });
});
