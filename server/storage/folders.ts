import { access, constants, mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { RequestError } from '../contract/errors.js';

/**
 * Makes a folder, and those above it that are missing, in which this process may write.
 * @throws RequestError `bad-folder` where it cannot
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await make(resolve(path));
    await access(path, constants.W_OK | constants.X_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOTDIR' ? 'a part of it is a file' : code;
    throw new RequestError(
      'bad-folder',
      `"${path}" is no folder to write in, and cannot be made one (${why})`,
    );
  }
}

/** Not by `recursive`: node then tries for ever where a folder takes no others, such as /proc. */
async function make(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const above = dirname(path);
    if (code === 'ENOENT' && above !== path) {
      await make(above);
      await mkdir(path);
    } else if (code !== 'EEXIST') throw error;
    else if (!(await stat(path)).isDirectory()) throw Object.assign(new Error(), { code: 'ENOTDIR' });
  }
}

/** @throws RequestError `not-found` for what is no folder */
export async function needFolder(path: string, what: string): Promise<void> {
  const found = await stat(path).catch(() => null);
  if (!found?.isDirectory()) throw new RequestError('not-found', `${what}: there is no folder "${path}"`);
}
