import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Router } from 'express';
import { inputOf } from '../../jobs/spec.js';
import { jobRequest, parseRequest } from '../intake.js';
import { type JobRoutes, jsonBody, locate, parseBody, whileThere } from '../source.js';
import { receiveImage } from '../upload.js';
import { outputsOf } from './jobs.js';

/**
 * `POST /v1/plan`: what would be done with an image, and what that takes: tiles, memory, disk, time on
 * this device, measured with one tile, and how many jobs of its priority go before it. Only the image's header is
 * read; one that lies on the server, or elsewhere, is not copied.
 */
export function planRoute(intake: JobRoutes): Router {
  const { jobs, store, limits } = intake;
  return Router().post('/', jsonBody(), async (request, response) => {
    const { source, ...given } = parseBody(request);
    const parameters = parseRequest({ ...request.query, ...given });
    const work = await jobRequest(intake, parameters, outputsOf(parameters));
    jobs.checkPlace();
    const { folder } = await store.create();
    const plan = async (input: string, singleFile: boolean) => {
      const spec = { ...work, input, singleFile, scratchDir: folder };
      const priority = parameters.priority ?? 'normal';
      response.json(await jobs.withPlace(() => jobs.planWithTime(spec, priority), source === null));
    };
    try {
      if (source === null) {
        const input = join(folder, 'upload');
        await receiveImage(request, input, limits);
        await plan(input, true);
      } else {
        const found = await locate(intake, source);
        const input = found.upload?.file ?? inputOf(found.source, folder);
        await whileThere(intake, found, () => plan(input, found.upload !== null));
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
}
