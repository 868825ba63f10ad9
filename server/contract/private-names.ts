import { codeOf, detailOf } from './problems.js';

/** Replacement of a hidden name. */
export const HIDDEN = 'hidden';
/** Minimum length of a hidden part: shorter ones occur in any word. */
const MIN_CHARS = 2;

/**
 * An error without names of images, as clients may see it: libraries put any part of a name into their messages.
 * @param names paths and addresses
 */
export function withoutNames(error: unknown, names: readonly string[]): Error {
  const detail = hideNames(detailOf(error), names);
  return Object.assign(new Error(detail, { cause: error }), { code: codeOf(error) });
}

/**
 * A text without any part of the names of an image.
 * @param names paths and addresses
 */
export const hideNames = (text: string, names: readonly string[]): string =>
  names
    .flatMap(partsOf)
    .filter((part) => part.length >= MIN_CHARS)
    .sort((a, b) => b.length - a.length)
    .reduce((rest, part) => rest.replaceAll(part, HIDDEN), text);

/** The texts that reveal a path or an address. */
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
