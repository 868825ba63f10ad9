import { describe, expect, it } from 'vitest';
import { BodyMemory } from '../../../../server/http/inference/body-memory.js';

const busy = expect.objectContaining({ code: 'busy' });

/** Holds memory until it is released, or until it is done. */
function holder(memory: BodyMemory, owner: string, bytes: number) {
  let [release, end] = [() => {}, () => {}];
  const held = memory.hold(owner, bytes, (releaseIt) => {
    release = releaseIt;
    return new Promise<void>((resolve) => (end = resolve));
  });
  held.catch(() => undefined);
  return { held, release: () => release(), end: () => end() };
}

describe('the memory for bodies', () => {
  it('is held while a body is used', async () => {
    const memory = new BodyMemory(8);
    const first = holder(memory, 'a', 4);
    await expect(holder(memory, 'a', 1).held).rejects.toEqual(busy);
    first.end();
    await first.held;
    expect(await memory.hold('a', 4, async () => 'read')).toBe('read');
  });

  it('is for one owner a half, so that the others have the rest', async () => {
    const memory = new BodyMemory(8);
    const slow = [holder(memory, 'a', 2), holder(memory, 'a', 2)];
    await expect(holder(memory, 'a', 1).held).rejects.toEqual(busy);
    expect(await memory.hold('b', 4, async () => 'read')).toBe('read');
    const other = holder(memory, 'b', 3);
    await expect(holder(memory, 'c', 2).held).rejects.toEqual(busy);
    for (const each of [...slow, other]) each.end();
    await Promise.all([...slow, other].map(({ held }) => held));
  });

  it('may be released before the body is done with, once', async () => {
    const memory = new BodyMemory(8);
    const first = holder(memory, 'a', 4);
    first.release();
    const second = holder(memory, 'a', 4);
    first.end();
    await first.held;
    await expect(holder(memory, 'a', 1).held).rejects.toEqual(busy);
    second.end();
    await second.held;
  });

  it('is released by what fails', async () => {
    const memory = new BodyMemory(8);
    await expect(memory.hold('a', 4, () => Promise.reject(new Error('cut off')))).rejects.toThrow('cut off');
    expect(await memory.hold('a', 4, async () => 'read')).toBe('read');
  });
});
