import { EVERYONE } from '../../access/principal.js';
import type { TokenStore } from '../../access/token-store.js';
import { RequestError } from '../../contract/errors.js';
import { parseParameters } from '../../contract/parameters.js';
import { type NewToken, tokenRequestSchema } from '../../contract/schemas/access.js';
import { jsonBody } from '../job-request.js';
import type { Operate } from '../operate.js';
import { principalOf } from '../principal.js';

/** `/v1/tokens`: tokens for admins to make, list and revoke, as `unseam tokens` does on the server's machine. */
export function tokenRoutes(operate: Operate, tokens: TokenStore): void {
  operate('listTokens', async (_request, response) => {
    response.json(await tokens.list());
  });

  operate('createToken', jsonBody(), async (request, response) => {
    // The first token locks out everybody else, which is for the operator to decide.
    if (principalOf(request).id === EVERYONE) {
      throw new RequestError(
        'forbidden',
        'this server needs no tokens yet: make the first one on its machine, with "unseam tokens create"',
      );
    }
    const { name, scopes, slides, expires } = parseParameters(tokenRequestSchema, request.body ?? {});
    const { token, text } = await tokens.create({
      name,
      scopes,
      slides: slides ?? null,
      lifetimeMs: expires,
    });
    const made: NewToken = { ...token, token: text };
    response.status(201).location(`/v1/tokens/${token.id}`).set('Cache-Control', 'no-store').json(made);
  });

  operate('revokeToken', async (request, response) => {
    await tokens.revoke(request.params.id);
    response.status(204).end();
  });
}
