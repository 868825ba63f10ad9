import { dirname } from 'node:path';
import { RequestError } from '../contract/errors.js';

interface Attempt {
  /** pip's version. */
  readonly pip: string;
  /** pip's exit status; null where it was killed. */
  readonly code: number | null;
  readonly folder: string;
}

const NO_SPACE = /No space left on device|Disk quota exceeded|\[Errno (28|122)\]/;
const NO_NETWORK =
  /NewConnectionError|Failed to establish a new connection|name resolution|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|Read timed out|ProxyError|SSLError|ConnectionResetError|Connection (broken|aborted|refused)|IncompleteRead|RemoteDisconnected|Max retries exceeded/;
const DAMAGED = /^ERROR: Wheel .* is invalid|DO NOT MATCH THE HASHES/m;
const NO_WHEEL = /No matching distribution found for (\S+)/;

/**
 * What a failure of pip means, in a sentence. A full disk comes first, and the network before missing packages: pip
 * reports an index that it cannot reach as one that has nothing.
 *
 * @param lines pip's output
 */
export function pipFailure(lines: readonly string[], { pip, code, folder }: Attempt): RequestError {
  const text = lines.join('\n');
  if (NO_SPACE.test(text)) {
    return new RequestError(
      'disk-full',
      `the disk of "${dirname(folder)}" became full; what was written is removed`,
    );
  }
  if (NO_NETWORK.test(text)) {
    return new RequestError(
      'setup-failed',
      "pip does not reach Python's package index; check the network, and for a proxy or a mirror set HTTPS_PROXY or PIP_INDEX_URL",
    );
  }
  if (DAMAGED.test(text)) {
    return new RequestError(
      'setup-failed',
      'a download was cut off or changed on its way; run the set-up again',
    );
  }
  const missing = NO_WHEEL.exec(text)?.[1];
  if (missing !== undefined) {
    return new RequestError(
      'setup-failed',
      `the package index has no ${missing} that pip ${pip} can install on this platform; ` +
        'update pip (python3 -m pip install --upgrade pip), or name an index that has it by PIP_INDEX_URL',
    );
  }
  // The first is what happened; after an exception, what happened is in the last line.
  const first = lines.find((line) => line.startsWith('ERROR:') && !line.endsWith('Exception:'));
  const last = first ?? lines.findLast((line) => line.trim());
  const how = code === null ? 'was killed' : `failed with exit status ${code}`;
  return new RequestError(
    'setup-failed',
    `pip ${pip} ${how}: ${last?.replace(/^ERROR: /, '') ?? 'no output'}`,
  );
}
