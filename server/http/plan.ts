import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import express, { Router } from 'express';
import { inputOf } from '../jobs/results.js';
import { jobRequest, parseRequest } from './intake.js';
import { outputsOf } from './jobs.js';
import { type JobRoutes, locate, parseBody } from './source.js';
import { receiveImage } from './upload.js';

/**
 * `POST /v1/plan`: what would be done with an image, and what that takes: tiles, memory, disk, time on
 * this device, measured with one tile, and how many jobs of its priority go before it. Only the image's header is read; one that lies on the server, or
 * elsewhere, is not copied.
 */
export function planRoute(intake: JobRoutes): Router {
  const { jobs, store, limits } = intake;
  return Router().post('/', express.json({ limit: '64kb', inflate: false }), async (request, response) => {
    const { source, ...given } = parseBody(request);
    const parameters = parseRequest({ ...request.query, ...given });
    const work = await jobRequest(intake, parameters, outputsOf(parameters));
    jobs.checkPlace();
    const { folder } = await store.create();
    try {
      let input = join(folder, 'upload');
      let singleFile = true;
      if (source === null) await receiveImage(request, input, limits);
      else {
        const found = await locate(intake, source);
        input = found.upload?.file ?? inputOf(found.source, folder);
        singleFile = found.upload !== null;
      }
      const spec = { ...work, input, singleFile, scratchDir: folder };
      await jobs.withPlace(
        async () => response.json(await jobs.planWithTime(spec, parameters.priority ?? 'normal')),
        source === null,
      );
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
}
