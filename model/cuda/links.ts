import { randomUUID } from 'node:crypto';
import { readlink, rename, rm, symlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { DeviceUnavailableError } from '../errors.js';
import { PROVIDER_LIBRARIES } from './libraries.js';

/**
 * Links the CUDA provider to where ONNX Runtime looks for it: beside its own library. Links that are right are left;
 * `npm ci` removes them. Files of that name, such as the package's own script downloads, are replaced. Several processes
 * may do this at the same time.
 *
 * @param bin folder of npm's libraries
 * @throws DeviceUnavailableError where this user may not write there
 */
export async function linkProviders(folder: string, bin: string): Promise<void> {
  for (const provider of PROVIDER_LIBRARIES) {
    const target = resolve(folder, provider);
    const link = join(bin, basename(provider));
    if ((await readlink(link).catch(() => null)) === target) continue;
    const draft = join(bin, `.${basename(provider)}.${randomUUID()}`);
    try {
      await symlink(target, draft);
      await rename(draft, link);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new DeviceUnavailableError(
        `ONNX Runtime's CUDA provider cannot be linked into "${bin}" (${code}); ` +
          `run this as the user who installed unseam: unseam setup cuda --cache-dir ${dirname(folder)}`,
      );
    } finally {
      await rm(draft, { force: true }).catch(() => undefined); // where it cannot be removed, it was not made
    }
  }
}
