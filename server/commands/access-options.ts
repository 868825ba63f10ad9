import { type Command, Option } from 'commander';
import type { Logger } from 'pino';
import { openAudit } from '../access/audit.js';
import type { OidcOptions } from '../access/oidc.js';
import { DEFAULTS, ENVIRONMENT } from '../config.js';
import { RequestError } from '../contract/errors.js';
import type { ServeOptions } from '../serve-options.js';
import { switched } from '../terminal/flag-values.js';

/** Flags of `serve` for access, TLS and the audit log. */
export interface AccessFlags {
  readonly open?: boolean;
  readonly oidcIssuer?: string;
  readonly oidcAudience?: string;
  readonly oidcJwks?: string;
  readonly oidcScopes: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly audit?: string;
  readonly privateNames?: boolean;
}

const option = (flags: string, description: string, variable: string): Option =>
  new Option(flags, description).env(variable);

/** Adds the options of access; docs/access.md explains them. */
export const accessOptions = (command: Command): Command =>
  command
    .addOption(
      option('--open [0|1]', 'serve without tokens whoever can reach the server', ENVIRONMENT.open)
        .preset('1')
        .argParser(switched),
    )
    .addOption(
      option('--oidc-issuer <url>', 'accept the tokens of this OpenID provider', ENVIRONMENT.oidcIssuer),
    )
    .addOption(option('--oidc-audience <name>', 'what it calls this server', ENVIRONMENT.oidcAudience))
    .addOption(
      option(
        '--oidc-jwks <url>',
        'address of its keys (default: the one that it publishes)',
        ENVIRONMENT.oidcJwks,
      ),
    )
    .addOption(
      option(
        '--oidc-scopes <claim>',
        'claim that lists scopes, such as realm_access.roles: unseam:segment allows to segment',
        ENVIRONMENT.oidcScopes,
      ).default(DEFAULTS.oidcScopes),
    )
    .addOption(option('--tls-cert <file>', 'speak TLS with this certificate (PEM)', ENVIRONMENT.tlsCert))
    .addOption(option('--tls-key <file>', 'its key (PEM)', ENVIRONMENT.tlsKey))
    .addOption(
      option(
        '--audit <file>',
        'append a line of JSON for whatever changes state; none for no audit log (default: to the standard output)',
        ENVIRONMENT.audit,
      ),
    )
    .addOption(
      option(
        '--private-names [0|1]',
        'have names and paths of images in no log, list or error',
        ENVIRONMENT.privateNames,
      )
        .preset('1')
        .argParser(switched),
    );

/** @throws RequestError `bad-request` for an option that lacks another; `bad-folder` */
export function accessOfFlags(
  flags: AccessFlags,
  log: Logger,
): Pick<ServeOptions, 'isOpen' | 'oidc' | 'tls' | 'audit' | 'privateNames'> {
  const { open = DEFAULTS.isOpen, privateNames = DEFAULTS.privateNames, tlsCert, tlsKey } = flags;
  if ((tlsCert === undefined) !== (tlsKey === undefined))
    throw new RequestError('bad-request', '--tls-cert and --tls-key need each other');
  const auditFailed = (err: unknown) => log.error({ err }, 'cannot write the audit log');
  return {
    isOpen: open,
    oidc: oidcOf(flags),
    tls: tlsCert === undefined || tlsKey === undefined ? DEFAULTS.tls : { cert: tlsCert, key: tlsKey },
    audit: flags.audit === 'none' ? null : openAudit(flags.audit ?? null, auditFailed),
    privateNames,
  };
}

function oidcOf({ oidcIssuer, oidcAudience, oidcJwks, oidcScopes }: AccessFlags): OidcOptions | null {
  if (oidcIssuer === undefined) {
    if (oidcAudience !== undefined || oidcJwks !== undefined)
      throw new RequestError('bad-request', '--oidc-audience and --oidc-jwks need --oidc-issuer');
    return DEFAULTS.oidc;
  }
  if (!oidcAudience)
    throw new RequestError(
      'bad-request',
      '--oidc-issuer needs --oidc-audience: its tokens may be for other servers',
    );
  return { issuer: oidcIssuer, audience: oidcAudience, jwks: oidcJwks ?? null, scopesClaim: oidcScopes };
}
