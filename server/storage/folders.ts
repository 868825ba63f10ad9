import { access, constants, mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { RequestError } from '../contract/errors.js';

/**
 * Creates a folder, with its missing parents, unless it exists, and checks that this process may write in it.
 * @throws RequestError `bad-folder`
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await make(resolve(path));
    await access(path, constants.W_OK | constants.X_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason = code === 'ENOTDIR' ? 'a part of its path is a file' : code;
    throw new RequestError(
      'bad-folder',
      `"${path}" is not a writable folder, and cannot be created (${reason})`,
    );
  }
}

/** Without `recursive`, with which Node.js retries forever where no folders can be created, such as in /proc. */
async function make(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const parent = dirname(path);
    if (code === 'ENOENT' && parent !== path) {
      await make(parent);
      await mkdir(path);
    } else if (code !== 'EEXIST') throw error;
    else if (!(await stat(path)).isDirectory()) throw Object.assign(new Error(), { code: 'ENOTDIR' });
  }
}

/**
 * Checks that a folder exists.
 * @param option that names the folder, for the message
 * @throws RequestError `not-found`
 */
export async function requireFolder(path: string, option: string): Promise<void> {
  const found = await stat(path).catch(() => null);
  if (!found?.isDirectory()) throw new RequestError('not-found', `${option}: there is no folder "${path}"`);
}
