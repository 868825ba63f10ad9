import type { RouteDependencies } from '../dependencies.js';
import { originOf, planImage } from '../intake.js';
import { jsonBody, parseJobRequest, requestedOutputs, resolveJobRequest } from '../job-request.js';
import type { Operate } from '../operate.js';
import { principalOf } from '../principal.js';

/**
 * `POST /v1/plan`: what a job would do with an image, and what it takes: tiles, memory, disk, time on this device,
 * measured with one tile, and how many jobs of its priority run before it. Only the image's header is read; an image
 * that is read by path or URL is not copied.
 */
export function planRoute(operate: Operate, dependencies: RouteDependencies): void {
  operate('plan', jsonBody(), async (request, response) => {
    const { source, parameters } = parseJobRequest(request);
    const work = await resolveJobRequest(
      dependencies,
      parameters,
      requestedOutputs(parameters),
      principalOf(request),
    );
    const { priority = 'normal' } = parameters;
    const origin = originOf(request, source);
    response.json(await planImage(dependencies, request, { origin, work, priority }));
  });
}
