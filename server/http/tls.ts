import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { Server } from 'node:https';
import type { Logger } from 'pino';
import { RequestError } from '../contract/errors.js';

/** The PEM files of a server that speaks TLS. */
export interface TlsFiles {
  /** The certificate, followed by those that have signed it. */
  readonly cert: string;
  readonly key: string;
}

/** Certificate and key, as Node.js takes them. */
export interface TlsPair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Polling interval of the files, in ms. They are polled, as they may be replaced by links, which watchers miss. */
const CHECK_MS = 10_000;
const DAY_MS = 24 * 3600_000;
/** Days before the expiry of a certificate from which it is reported. */
const SOON_DAYS = 14;

/**
 * Reads a certificate and its key.
 * @throws RequestError `bad-certificate` if one cannot be read, or they do not belong together
 */
export async function readTlsPair({ cert, key }: TlsFiles, log: Logger, now = Date.now()): Promise<TlsPair> {
  try {
    const pair = { cert: await readFile(cert), key: await readFile(key) };
    const certificate = new X509Certificate(pair.cert);
    if (!certificate.checkPrivateKey(createPrivateKey(pair.key)))
      throw new Error('the key is of another certificate');
    const facts = { subject: certificate.subject, validTo: certificate.validTo };
    log.info(facts, 'certificate read');
    const days = Math.floor((Date.parse(certificate.validTo) - now) / DAY_MS);
    if (days < SOON_DAYS) log.warn({ ...facts, days }, 'the certificate expires soon, or has expired');
    return pair;
  } catch (cause) {
    throw new RequestError(
      'bad-certificate',
      `--tls-cert and --tls-key: "${cert}" and "${key}" are no certificate with its key (${(cause as Error).message})`,
      { cause },
    );
  }
}

/**
 * Reloads the files whenever they change, for new connections; open ones go on. Files that do not belong
 * together are logged, and the old ones stay in use: two files are never replaced at the same moment.
 * @param checkMs interval. Default ten seconds
 * @returns a function that stops it
 */
export function watchTlsFiles(files: TlsFiles, server: Server, log: Logger, checkMs = CHECK_MS): () => void {
  let known = versionOf(files);
  let isBusy = false;
  const check = async () => {
    const version = await versionOf(files);
    if (version === (await known)) return;
    known = Promise.resolve(version);
    server.setSecureContext(await readTlsPair(files, log));
  };
  const timer = setInterval(() => {
    if (isBusy) return;
    isBusy = true;
    check()
      .catch((err: unknown) => log.error({ err }, 'the new certificate cannot be used; the old one stays'))
      .finally(() => {
        isBusy = false;
      });
  }, checkMs).unref();
  return () => clearInterval(timer);
}

/** Identifies the versions of the files; a missing file counts as a version. */
async function versionOf({ cert, key }: TlsFiles): Promise<string> {
  const versions = [cert, key].map(async (path) => {
    const found = await stat(path, { bigint: true }).catch(() => null);
    return found && [found.ino, found.size, found.mtimeNs].join();
  });
  return (await Promise.all(versions)).join();
}
