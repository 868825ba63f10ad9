import { codeOf, detailOf } from './problems.js';

/** What stands for a name that is hidden. */
export const HIDDEN = 'hidden';
/** Shorter ones are parts of any word. */
const MIN_CHARS = 2;

/**
 * An error as a client may see it, without what names an image: messages of libraries may have any part of it.
 * @param names paths and addresses
 */
export function withoutNames(error: unknown, names: readonly string[]): Error {
  const detail = hideNames(detailOf(error), names);
  return Object.assign(new Error(detail, { cause: error }), { code: codeOf(error) });
}

/**
 * A text without any part of what names an image.
 * @param names paths and addresses
 */
export const hideNames = (text: string, names: readonly string[]): string =>
  names
    .flatMap(partsOf)
    .filter((part) => part.length >= MIN_CHARS)
    .sort((a, b) => b.length - a.length)
    .reduce((rest, part) => rest.replaceAll(part, HIDDEN), text);

/** Everything that tells of a path or of an address. */
function partsOf(name: string): string[] {
  if (!URL.canParse(name)) return partsOfPath(name);
  const { href, host, hostname, pathname, search, username, password } = new URL(name);
  return [name, href, host, hostname, search, username, password, ...partsOfPath(pathname)];
}

function partsOfPath(path: string): string[] {
  const file = path.replace(/^.*[/\\]/s, '');
  const all = [path, path.replace(/^\//, ''), file, file.replace(/\.[^.]*$/, '')];
  return path.includes('%') ? [...all, ...all.map(decoded)] : all;
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
