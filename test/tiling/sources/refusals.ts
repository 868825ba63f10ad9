import { readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { TilingError } from '../../../tiling/errors.js';
import { openImage } from '../../../tiling/sources/open.js';
import type { ImageChoice, OpenOptions } from '../../../tiling/sources/options.js';

/**
 * The refusals that every format of a single file guarantees, as tests. A new one is one name in the list of
 * `contract.test.ts`.
 */
export function imageRefusals(name: string, path: string, options: OpenOptions): void {
  /** Opens and reads a file; returns the error of either, or null. No file may stay open. */
  const failureOf = async (file: string, choice: ImageChoice & Partial<OpenOptions> = {}) => {
    const before = await openFiles();
    const failure = await openImage(file, { ...options, ...choice })
      .then((source) => source.readRegion({ x: 0, y: 0, ...source.size }).finally(() => source.close()))
      .then(() => null)
      .catch((error: Error) => error);
    expect(await openFiles()).toEqual(before);
    if (failure) {
      expect(failure, failure.stack).toBeInstanceOf(TilingError);
      expect(failure.message).not.toContain(file);
    }
    return failure;
  };

  describe(name, () => {
    it.each([
      ['page', { page: 99 }],
      ['plane', { z: 99 }],
      ['time', { t: 99 }],
      ['level', { level: 99 }],
      ['channel', { channels: [99] }],
      ['limit of pixels', { maxPixels: 10 }],
    ] as const)('refuses another %s, and closes its files', async (_, choice) => {
      expect(await failureOf(path, choice)).not.toBeNull();
    });

    it('is refused when truncated, and closes its files', async () => {
      const bytes = await readFile(path);
      for (const part of [0.02, 0.2, 0.5, 0.9, 0.99]) {
        const short = `${path}.short`;
        await writeFile(short, bytes.subarray(0, Math.ceil(bytes.length * part)));
        expect(await failureOf(short), `${part} of it`).not.toBeNull();
      }
    });

    it('has the same size and properties when only its header is read', async () => {
      const whole = await openImage(path, options);
      const header = await openImage(path, { ...options, headerOnly: true });
      expect([header.size, header.facts]).toEqual([whole.size, whole.facts]);
      await Promise.all([whole.close(), header.close()]);
    });
  });
}

async function openFiles(): Promise<string[]> {
  const links = (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''));
  return (await Promise.all(links)).filter((file) => file.startsWith(tmpdir())).sort();
}
