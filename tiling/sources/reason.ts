const MAX_LENGTH = 200;

/**
 * The first line of a library's error message, without paths: where the server stores files is private.
 * @param path of the file, which becomes "the file"; other paths become "a file"
 */
export function reasonOf(cause: unknown, path?: string): string {
  const [line = ''] = (cause instanceof Error ? cause.message : String(cause)).split('\n');
  const known = path === undefined ? line : line.replaceAll(path, 'the file');
  return known.replaceAll(/(?<![\w.])(\/[^\s/:"'`]+){2,}/g, 'a file').slice(0, MAX_LENGTH);
}
