import { appendFileSync } from 'node:fs';
import { RequestError } from '../contract/errors.js';

/** Something that changed the state of a server, or would have. */
export interface AuditEntry {
  /** The name of the operation: `createJob`. */
  readonly audit: string;
  /** Who did it: `Principal.id`, `cli:USER`, or `server`; null where nobody could be identified. */
  readonly who: string | null;
  /** The name of its token. */
  readonly name?: string;
  /** The id of what was changed or made; null for changes without one. */
  readonly target: string | null;
  /** The status of the response; 499 for a client that disconnected before it had one. */
  readonly status?: number;
  /** The scopes of a token that was made or revoked. */
  readonly token?: { readonly name: string; readonly scopes: readonly string[] };
  /** The id of the request, as `X-Request-Id` has it. */
  readonly request?: string;
  /** The address that the request came from. */
  readonly remote?: string | null;
}

/** Takes what changed the state of a server. */
export type Audit = (entry: AuditEntry) => void;

/** An entry as a line of JSON. */
export const auditLine = (entry: AuditEntry, now: () => number = Date.now): string =>
  JSON.stringify({ time: new Date(now()).toISOString(), ...entry });

/**
 * An audit log of JSON lines, whatever the level of the log. A line is written before the next request is read. The
 * file is opened for each line, so that it may be renamed at any time, as programs do that rotate logs.
 *
 * @param file appended to, and created for its user alone; null for the standard output
 * @param onError called with the reason why a line could not be written: the server goes on
 * @throws RequestError `bad-folder` for a file that cannot be written
 */
export function openAudit(
  file: string | null,
  onError: (error: unknown) => void,
  now: () => number = Date.now,
): Audit {
  const append = (text: string) => {
    if (file === null) process.stdout.write(text);
    else appendFileSync(file, text, { mode: 0o600 });
  };
  try {
    append('');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new RequestError('bad-folder', `--audit: "${file}" cannot be written (${code})`, { cause });
  }
  return (entry) => {
    try {
      append(`${auditLine(entry, now)}\n`);
    } catch (error) {
      onError(error);
    }
  };
}
