import { type OpenApi, openApiOf } from '../../contract/openapi/document.js';
import { docsPage } from '../docs-page.js';
import type { Operate } from '../operate.js';

/** The policy of `/docs`: no scripts, styles of this server. */
const POLICY =
  "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/**
 * `/openapi.json` and `/docs`: the contract for programs and for people. It is made when it is first requested.
 * @param version of unseam
 */
export function contractRoutes(operate: Operate, version: string): void {
  let document: OpenApi | null = null;
  const contract = () => (document ??= openApiOf(version));
  let page: string | null = null;
  operate('getContract', (_request, response) => {
    response.set('Cache-Control', 'no-cache').json(contract());
  });
  operate('getDocs', (_request, response) => {
    page ??= docsPage(contract());
    response.type('html').set({ 'Cache-Control': 'no-cache', 'Content-Security-Policy': POLICY }).send(page);
  });
}
