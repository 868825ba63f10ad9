import { realpath } from 'node:fs/promises';
import { isAbsolute, join, relative, sep } from 'node:path';
import type { Principal } from '../access/principal.js';
import { RequestError } from '../contract/errors.js';

/** The images that requests may name by path. */
export interface Slides {
  /**
   * Where a slide is.
   * @param name as in the request
   * @throws RequestError `not-found` if there is none that the caller may read; `bad-request` if the server has no
   *   slides
   */
  locate(name: string, caller: Pick<Principal, 'slides'>): Promise<string>;
}

/** The slides of a server without a folder of slides: none. */
export const NO_SLIDES: Slides = {
  locate: async () => {
    throw new RequestError('bad-request', 'this server reads no images by path: it has no --slides folder');
  },
};

/** The files below a folder, by their absolute paths, or by paths that are relative to the folder. */
export class SlideFolder implements Slides {
  constructor(private readonly folder: string) {}

  /** Finds a file in the caller's part of the folder. Symbolic links that lead out of it are not followed. */
  async locate(name: string, { slides }: Pick<Principal, 'slides'>): Promise<string> {
    const root = await realpath(this.folder);
    const part = slides === null ? root : await realpath(join(root, slides)).catch(() => null);
    const found = await realpath(isAbsolute(name) ? name : join(root, name)).catch(() => null);
    if (part === null || found === null || !isWithin(root, part) || !isWithin(part, found))
      throw new RequestError('not-found', `there is no "${name}" in the folder of slides`);
    return found;
  }
}

function isWithin(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
