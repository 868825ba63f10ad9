const MAX_LENGTH = 200;

/** What a library says of a file that it cannot read, without where the server keeps it. */
export function reasonOf(cause: unknown, path?: string): string {
  const [line = ''] = (cause instanceof Error ? cause.message : String(cause)).split('\n');
  const known = path === undefined ? line : line.replaceAll(path, 'the file');
  return known.replaceAll(/(?<![\w.])(\/[^\s/:"'`]+){2,}/g, 'a file').slice(0, MAX_LENGTH);
}
