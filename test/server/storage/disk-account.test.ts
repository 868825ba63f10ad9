import { beforeEach, describe, expect, it } from 'vitest';
import { DiskAccount } from '../../../server/storage/disk-account.js';

let account: DiskAccount;
beforeEach(() => {
  account = new DiskAccount({ quotaBytes: 1000, lowWaterBytes: 800, ownerBytes: 600 });
});
const claim = (id: string, owner: string, bytes: number) => () => account.claim(id, owner, bytes);
const code = (expected: string) => expect.objectContaining({ code: expected });

describe('an account of the disk', () => {
  it('counts bytes by owner, and all of them', () => {
    account.claim('job', 'ann', 300);
    account.claim('upload', 'bob', 200);
    expect([account.usedBy('ann'), account.usedBy('bob'), account.usedBy('eve'), account.total]).toEqual([
      300, 200, 0, 500,
    ]);
    account.claim('job', 'ann', 100); // less than was expected
    account.release('upload');
    account.release('unknown');
    expect([account.usedBy('ann'), account.usedBy('bob'), account.total]).toEqual([100, 0, 100]);
  });

  it('refuses an owner more than the limit of one, and what was there stays', () => {
    account.claim('job', 'ann', 500);
    expect(claim('other', 'ann', 101)).toThrow(code('quota-exceeded'));
    expect(claim('job', 'ann', 601)).toThrow(code('quota-exceeded'));
    expect(account.usedBy('ann')).toBe(500);
    account.claim('other', 'ann', 100);
    account.claim('job', 'bob', 300);
  });

  it('refuses all owners together more than the quota', () => {
    account.claim('a', 'ann', 600);
    expect(claim('b', 'bob', 401)).toThrow(code('disk-full'));
    account.claim('b', 'bob', 400);
  });

  it('accepts no more, once it is full, until less than the low-water mark is in use', () => {
    account.claim('a', 'ann', 500);
    account.claim('b', 'bob', 300);
    expect(claim('c', 'cay', 300)).toThrow('once that is below 1 kB');
    expect(claim('c', 'cay', 10)).toThrow(code('disk-full'));
    account.claim('b', 'bob', 290);
    account.claim('c', 'cay', 200);
  });

  it('accepts a smaller one where only a large one did not fit', () => {
    account.claim('a', 'ann', 500);
    expect(claim('b', 'bob', 600)).toThrow(code('disk-full'));
    account.claim('b', 'bob', 400);
  });

  it('counts what is on the disk already, beyond any limit', () => {
    account.record('old', 'ann', 5000);
    expect(account.total).toBe(5000);
    expect(claim('new', 'bob', 1)).toThrow(code('disk-full'));
    account.claim('old', 'ann', 700);
    account.claim('new', 'bob', 1);
  });

  it('has no limits where none are set', () => {
    const free = new DiskAccount({ quotaBytes: null, lowWaterBytes: 0, ownerBytes: null });
    free.claim('a', 'ann', Number.MAX_SAFE_INTEGER);
    expect(free.total).toBe(Number.MAX_SAFE_INTEGER);
  });
});
