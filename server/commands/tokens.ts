import { userInfo } from 'node:os';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type AuditEntry, auditLine, openAudit } from '../access/audit.js';
import type { TokenStore } from '../access/token-store.js';
import { DEFAULTS, ENVIRONMENT } from '../config.js';
import { parseParameters } from '../contract/parameters.js';
import { DEFAULT_LIFETIME, type TokenView, tokenRequestSchema } from '../contract/schemas/access.js';
import { SCOPES, type Scope } from '../contract/scopes.js';
import { makeFolder, requireFolder } from '../storage/folders.js';
import type { CommandContext } from '../terminal/options.js';

interface TokensFlags {
  readonly data: string;
  readonly json?: boolean;
}
interface ChangeFlags extends TokensFlags {
  readonly audit?: string;
}
interface CreateFlags extends ChangeFlags {
  readonly name: string;
  readonly scope: readonly Scope[];
  readonly expires: string;
  readonly slides?: string;
}

/**
 * `unseam tokens`: the tokens of a server, by its data folder. Changes take effect in a running server
 * at once: from the first token on, it requires one.
 */
export function tokensCommand(program: Command, context: CommandContext): void {
  const tokens = program.command('tokens').description('make, list and revoke tokens for a server');
  const declare = (name: string, description: string): Command =>
    tokens
      .command(name)
      .description(description)
      .addOption(
        new Option('--data <folder>', "the server's folder of jobs and uploads")
          .env(ENVIRONMENT.data)
          .default(DEFAULTS.data),
      )
      .option('--json', 'print JSON');
  const declareChange = (name: string, description: string): Command =>
    declare(name, description).addOption(
      new Option('--audit <file>', 'append a line of JSON for it (default: to the standard error)').env(
        ENVIRONMENT.audit,
      ),
    );

  declareChange('create', 'make a token, and print it: it is not stored, and cannot be shown again')
    .requiredOption('--name <name>', 'whose it is or what for')
    .addOption(
      new Option('--scope <scopes...>', `what it allows: ${SCOPES.join(', ')}`)
        .argParser((text, before: readonly Scope[] = []) => [...before, ...text.split(',').map(scopeOf)])
        .makeOptionMandatory(),
    )
    .option('--slides <path>', 'the part of the folder of slides that it may read (default: all of it)')
    .option('--expires <lifetime>', 'how long it is valid, such as 90d or 12h; or never', DEFAULT_LIFETIME)
    .action(async ({ data, json, audit, name, scope, expires, slides }: CreateFlags) => {
      const request = parseParameters(tokenRequestSchema, {
        name,
        scopes: scope,
        expires,
        ...(slides !== undefined && { slides }),
      });
      await makeFolder(data);
      const store = await openTokens(data);
      const write = auditTo(audit, context);
      const { token, text } = await store.create({
        ...request,
        slides: request.slides ?? null,
        lifetimeMs: request.expires,
      });
      write('createToken', token);
      context.stdout(json ? JSON.stringify({ ...token, token: text }) : text);
      if (!json) context.stderr(`${summaryOf(token)}; it is shown only now`);
    });

  declare('list', 'list the tokens, without their secrets').action(async ({ data, json }: TokensFlags) => {
    await requireFolder(data, '--data');
    const { tokens: found, unreadable } = await (await openTokens(data)).list();
    for (const token of found) context.stdout(json ? JSON.stringify(token) : summaryOf(token));
    for (const { id, reason } of unreadable) context.stderr(`unseam: ${id}: ${reason}; revoke it`);
  });

  declareChange('revoke', 'revoke a token: it is refused from now on')
    .argument('<id>', 'of the token, as listed')
    .action(async (id: string, { data, json, audit }: ChangeFlags) => {
      await requireFolder(data, '--data');
      const write = auditTo(audit, context);
      const token = await (await openTokens(data)).revoke(id);
      write('revokeToken', token ?? { id });
      if (token === null) context.stderr(`unseam: ${id} could not be read, and is removed`);
      else context.stdout(json ? JSON.stringify(token) : summaryOf(token));
    });
}

/** Loaded on demand: --help needs none of it. */
async function openTokens(data: string): Promise<TokenStore> {
  const { TokenStore } = await import('../access/token-store.js');
  return new TokenStore(data);
}

function scopeOf(text: string): Scope {
  const scope = SCOPES.find((each) => each === text);
  if (!scope) throw new InvalidArgumentError(`It must be one or more of ${SCOPES.join(', ')}.`);
  return scope;
}

/** A token in one line. */
function summaryOf({ id, name, scopes, slides, createdAt, expiresAt, revokedAt }: TokenView): string {
  const until = expiresAt === null ? 'never expires' : `expires ${expiresAt.slice(0, 16)}Z`;
  const state = revokedAt === null ? until : `revoked ${revokedAt.slice(0, 16)}Z`;
  return `${id} "${name}": ${scopes.join(', ')}${slides === null ? '' : `, slides below ${slides}`}; made ${createdAt.slice(0, 16)}Z, ${state}`;
}

/** Writes who has changed a token, into a file or to the standard error. */
function auditTo(file: string | undefined, { stderr }: CommandContext) {
  const failed = (error: unknown) =>
    stderr(`unseam: the audit log cannot be written: ${(error as Error).message}`);
  const write =
    file === undefined ? (entry: AuditEntry) => stderr(auditLine(entry)) : openAudit(file, failed);
  return (audit: string, token: TokenView | Pick<TokenView, 'id'>) =>
    write({
      audit,
      who: `cli:${userName()}`,
      target: token.id,
      ...('name' in token && { token: { name: token.name, scopes: token.scopes } }),
    });
}

/** Some users of containers have no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'unknown');
  }
}
