import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import express, { Router } from 'express';

/** What the page may do: nothing from elsewhere, no script or style in its text. */
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

/** `/`: the page, its styles and its scripts, all from here. */
export function webRoutes(): Router {
  const router = Router();
  const page = pathOf('../../../../server/web/static/index.html');
  router.get('/', async (_request, response) => {
    response
      .type('html')
      .set({ 'Cache-Control': 'no-cache', 'Content-Security-Policy': POLICY })
      .send(await readFile(page));
  });
  // What browsers ask for beside pages that name no icon: an answer of JSON, a picture.
  router.get('/favicon.ico', (_request, response) => response.sendFile(icon));
  const assets = express.Router();
  assets.use(express.static(pathOf('../../../../server/web/static'), { index: false }));
  assets.use(express.static(pathOf('../../web'), { index: false }));
  assets.get('/openseadragon.js', (_request, response) => response.sendFile(viewer));
  router.use('/web', assets);
  return router;
}
