import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import express from 'express';
import type { Operate } from '../operate.js';

/** The page's policy: nothing from other hosts, no inline scripts or styles. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const pathOf = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const icon = pathOf('../../../../server/web/static/icon.svg');
const viewer = fileURLToPath(new URL('openseadragon.min.js', import.meta.resolve('openseadragon')));

/** `/`, `/web` and `/client`: the page with its styles, its scripts, the viewer, and the client that it uses. */
export function webRoutes(operate: Operate): void {
  const page = pathOf('../../../../server/web/static/index.html');
  operate('getPage', async (_request, response) => {
    response
      .type('html')
      .set({ 'Cache-Control': 'no-cache', 'Content-Security-Policy': POLICY })
      .send(await readFile(page));
  });
  // Browsers request this beside responses that name no icon, such as JSON and pictures.
  operate('getIcon', (_request, response) => response.sendFile(icon));
  const assets = [pathOf('../../../../server/web/static'), pathOf('../../web')].map((folder) =>
    express.static(folder, { index: false }),
  );
  operate(
    'getAsset',
    (request, response, next) => {
      const { file } = request.params;
      if (file === 'openseadragon.js') return response.sendFile(viewer);
      request.url = `/${encodeURIComponent(file)}`; // within the folders
      next();
    },
    ...assets,
  );
  const client = express.static(pathOf('../../../client'), { index: false });
  operate(
    'getClient',
    (request, _response, next) => {
      request.url = `/${encodeURIComponent(request.params.file)}`;
      next(/\.js$/.test(request.params.file) ? undefined : 'route'); // types are for programmers
    },
    client,
  );
}
