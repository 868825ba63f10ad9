import { chown, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RequestError } from '../contract/errors.js';
import {
  TOKEN_ID,
  type TokenList,
  type TokenView,
  type UnreadableToken,
} from '../contract/schemas/access.js';
import { syncFolder } from '../storage/durable.js';
import { replaceSharedFile } from '../storage/shared-file.js';
import {
  isSecretOf,
  makeToken,
  type PresentedToken,
  type TokenRecord,
  type TokenRequest,
  tokenSchema,
} from './token.js';

/**
 * The API tokens of a data folder: `tokens/ID.json`, one file each. The server and the command line both write them,
 * without a lock, since a file is replaced atomically, and whoever revokes it writes the same. The server reads the
 * file of a token for every request that presents it, so that what either of them does takes effect at once.
 */
export class TokenStore {
  readonly #folder: string;
  #hasTokens = false;

  /**
   * @param data the data folder
   * @param now milliseconds since 1970
   */
  constructor(
    data: string,
    private readonly now: () => number = Date.now,
  ) {
    this.#folder = join(data, 'tokens');
  }

  /** Whether a token was ever made here. Revoking the last one does not undo it: that would open the server. */
  async hasTokens(): Promise<boolean> {
    this.#hasTokens ||= (await stat(this.#folder).catch(absent)) !== null;
    return this.#hasTokens;
  }

  /** Makes a token. Resolves when it would survive a power failure. */
  async create(request: TokenRequest): Promise<{ readonly token: TokenView; readonly text: string }> {
    const { record, text } = makeToken(request, this.now());
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const owner = await this.#owner();
    if (owner !== null) await chown(this.#folder, owner.uid, owner.gid);
    if ((await this.#read(record.id)) !== null)
      throw new RequestError('conflict', `there is a token ${record.id} already: try again`);
    await this.#write(record);
    return { token: viewOf(record), text };
  }

  /** All tokens, the oldest first; expired and revoked ones, too. Damaged ones admit nobody. */
  async list(): Promise<TokenList> {
    const names = (await readdir(this.#folder).catch(absent)) ?? [];
    const ids = names.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -5));
    const tokens: TokenView[] = [];
    const unreadable: UnreadableToken[] = [];
    for (const id of ids.filter((each) => TOKEN_ID.test(each)).sort()) {
      const record = await this.#read(id).catch(unreadableReason);
      if (typeof record === 'string') unreadable.push({ id, reason: record });
      else if (record !== null) tokens.push(viewOf(record));
    }
    tokens.sort((a, b) => a.createdAt.localeCompare(b.createdAt));
    return { tokens, unreadable };
  }

  /**
   * Revokes a token for good. One that is revoked already stays as it is.
   * @returns null for a damaged one, whose file is removed
   * @throws RequestError `not-found`
   */
  async revoke(id: string): Promise<TokenView | null> {
    const record = TOKEN_ID.test(id) ? await this.#read(id).catch(unreadableReason) : null;
    if (typeof record === 'string') {
      await rm(this.#path(id), { force: true });
      await syncFolder(this.#folder);
      return null;
    }
    if (record === null) throw new RequestError('not-found', `there is no token ${id.slice(0, 40)}`);
    if (record.revokedAt !== null) return viewOf(record);
    const revoked = { ...record, revokedAt: new Date(this.now()).toISOString() };
    await this.#write(revoked);
    return viewOf(revoked);
  }

  /**
   * The token that a client presents.
   * @returns null for an unknown one, or a wrong secret
   * @throws RequestError `unauthorized` for one that has expired or is revoked
   */
  async check({ id, secret }: PresentedToken): Promise<TokenView | null> {
    const record = TOKEN_ID.test(id) ? await this.#read(id) : null;
    if (!isSecretOf(secret, record) || record === null) return null;
    if (record.revokedAt !== null)
      throw new RequestError('unauthorized', `the token "${record.name}" was revoked`);
    if (record.expiresAt !== null && Date.parse(record.expiresAt) <= this.now())
      throw new RequestError('unauthorized', `the token "${record.name}" expired at ${record.expiresAt}`);
    return viewOf(record);
  }

  #path(id: string): string {
    return join(this.#folder, `${id}.json`);
  }

  async #write(record: TokenRecord): Promise<void> {
    const owner = await this.#owner();
    await replaceSharedFile(this.#path(record.id), `${JSON.stringify(record, null, 2)}\n`, { owner });
  }

  /** Owner of the files, where root makes tokens for the server of another user; null for the current user. */
  async #owner(): Promise<{ readonly uid: number; readonly gid: number } | null> {
    return process.getuid?.() === 0 ? stat(dirname(this.#folder)) : null;
  }

  /** @returns null where there is none */
  async #read(id: string): Promise<TokenRecord | null> {
    const text = await readFile(this.#path(id), 'utf8').catch(absent);
    return text === null ? null : parseRecord(text, id);
  }
}

/** @throws RequestError `unreadable-record`: an invalid record admits nobody */
function parseRecord(text: string, id: string): TokenRecord {
  try {
    const record = tokenSchema.parse(JSON.parse(text));
    if (record.id !== id) throw new Error(`it has the token ${record.id}`);
    return record;
  } catch (cause) {
    throw new RequestError('unreadable-record', `tokens/${id}.json is not a valid token record`, { cause });
  }
}

/** The reason why a token cannot be read; any other error is thrown again. */
function unreadableReason(error: unknown): string {
  if (error instanceof RequestError && error.code === 'unreadable-record') return error.message;
  throw error;
}

const viewOf = ({ sha256: _, ...view }: TokenRecord): TokenView => view;

function absent(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null;
  if (error.code === 'EACCES' || error.code === 'EPERM') {
    throw new RequestError(
      'bad-folder',
      'tokens/ in the data folder cannot be read by this user: give it, and its files, the owner of that folder',
      { cause: error },
    );
  }
  throw error;
}
