import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import express, { Router } from 'express';

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

/** `/` and `/web`: the page with its styles, its scripts and the viewer. */
export function webRoutes(): Router {
  const router = Router();
  const page = pathOf('../../../../server/web/static/index.html');
  router.get('/', async (_request, response) => {
    response
      .type('html')
      .set({ 'Cache-Control': 'no-cache', 'Content-Security-Policy': POLICY })
      .send(await readFile(page));
  });
  // Browsers request this beside responses that name no icon, such as JSON and pictures.
  router.get('/favicon.ico', (_request, response) => response.sendFile(icon));
  const assets = express.Router();
  assets.use(express.static(pathOf('../../../../server/web/static'), { index: false }));
  assets.use(express.static(pathOf('../../web'), { index: false }));
  assets.get('/openseadragon.js', (_request, response) => response.sendFile(viewer));
  router.use('/web', assets);
  return router;
}
