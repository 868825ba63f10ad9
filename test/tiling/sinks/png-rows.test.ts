import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { pngRows } from '../../../tiling/sinks/png-rows.js';

const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
const ROW_BYTES = 50_000;

it.each([
  ['at once', async () => {}],
  ['with pauses', async () => setImmediate()],
])('rows that cannot be stored fail with the reason: written %s', async (_name, pause) => {
  const rows = pngRows({ height: 10_000 }, ROW_BYTES, { level: 1 }, () => Promise.reject(full));
  const writing = async () => {
    for (let row = 0; row < 10_000; row++) {
      await rows.write(randomBytes(ROW_BYTES));
      await pause();
    }
  };
  await expect(writing()).rejects.toBe(full);
  await rows.abort();
});
