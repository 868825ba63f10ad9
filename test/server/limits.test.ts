import { describe, expect, it } from 'vitest';
import { DEFAULTS } from '../../server/config.js';
import { LIMITS } from '../../server/contract/limits.js';
import { limitsOf } from '../../server/limits.js';
import type { OwnerLimits, ServeOptions } from '../../server/serve-options.js';

const GIB = 2 ** 30;
const DISK = { size: 1000 * GIB };
const limits = (options: Partial<ServeOptions> = {}, disk = DISK) =>
  limitsOf({ ...DEFAULTS, ...options } as ServeOptions, disk);
const owned = (owners: Partial<OwnerLimits>) => ({ owners: { ...DEFAULTS.owners, ...owners } });

describe('the limits of a server', () => {
  it('have values for all that there are, in the defaults', () => {
    const { values } = limits();
    expect(Object.keys(values).sort()).toEqual(Object.keys(LIMITS).sort());
    const unset = Object.entries(values).flatMap(([name, value]) => (value === null ? [name] : []));
    expect(unset).toEqual([
      ...['tokenRate', 'tokenBurst', 'tokenJobs', 'tokenPixels', 'tokenBytes'],
      ...['disk', 'diskLow'],
    ]);
  });

  it('leave the last places to jobs that somebody waits for', () => {
    expect(limits().admission.places).toEqual({ interactive: 64, normal: 56, bulk: 48 });
    expect(limits({ queueLimit: 1 }).admission.places).toEqual({ interactive: 1, normal: 1, bulk: 1 });
    expect(limits({ queueNormal: 10 }).admission.places).toEqual({ interactive: 64, normal: 10, bulk: 10 });
  });

  it('leave a share of a small disk free', () => {
    expect(limits().minFreeBytes).toBe(GIB);
    expect(limits({}, { size: 10 * GIB }).minFreeBytes).toBe(GIB / 2);
  });

  it('derive what is not given', () => {
    expect(limits({ quotaBytes: 100 * GIB }).disk.lowWaterBytes).toBe(90 * GIB);
    expect(limits(owned({ rate: 2.5 })).rate).toEqual({ perSecond: 2.5, burst: 10 });
    expect(limits(owned({ rate: 0.1 })).rate).toEqual({ perSecond: 0.1, burst: 1 });
  });

  it.each<[string, Partial<ServeOptions>, string]>([
    ['more normal jobs than places', { queueNormal: 65 }, '--queue-normal (65) is more than --queue (64)'],
    [
      'more bulk jobs than normal and bulk ones',
      { queueBulk: 57 },
      '--queue-bulk (57) is more than --queue-normal (56)',
    ],
    ['more jobs of a token than places', owned({ jobs: 65 }), '--token-jobs (65) is more than --queue (64)'],
    [
      'images that no token may have',
      owned({ pixels: 1e9 }),
      '--max-pixels (15000000000) is more than --token-pixels (1000000000)',
    ],
    [
      'uploads that no token may have',
      owned({ bytes: GIB }),
      '--max-body (8.6 GB) is more than --token-bytes (1.1 GB)',
    ],
    ['uploads beyond the quota', { quotaBytes: GIB }, '--max-body (8.6 GB) is more than --quota (1.1 GB)'],
    [
      'more bytes of a token than of all',
      { quotaBytes: 10 * GIB, ...owned({ bytes: 11 * GIB }) },
      '--token-bytes (11.8 GB) is more than --quota (10.7 GB)',
    ],
    [
      'a mark above the quota',
      { quotaBytes: 10 * GIB, quotaLowBytes: 11 * GIB },
      '--quota-low (11.8 GB) is more than --quota (10.7 GB)',
    ],
    ['a mark without a quota', { quotaLowBytes: GIB }, '--quota-low limits nothing without --quota'],
    ['more than the disk', { quotaBytes: 1000 * GIB }, '--quota (1073.7 GB) is more than'],
    ['more free space than the disk', { minFreeBytes: 1001 * GIB }, '--min-free (1074.8 GB) is more than'],
    ['a burst without a rate', owned({ burst: 9 }), '--token-burst limits nothing without --token-rate'],
  ])('refuse %s', (_what, options, message) => {
    const start = () => limits(options);
    expect(start).toThrow(expect.objectContaining({ code: 'bad-request' }));
    expect(start).toThrow(message);
  });
});
