import type { ModelShelf } from '../../model/shelf/shelf.js';
import type { ImageHeader } from '../contract/image-header.js';
import type { PlanSpec } from '../contract/job-spec.js';
import type { JobFacts } from '../contract/schemas/plan.js';
import type { Readers } from '../readers/readers.js';
import type { WorkerCalls } from '../worker/methods.js';

/** Plans jobs from their images' headers. A reader opens the image, never the worker that runs jobs. */
export class JobPlanner {
  constructor(
    private readonly worker: Pick<WorkerCalls, 'plan' | 'estimate'>,
    private readonly readers: Pick<Readers, 'header'>,
    private readonly shelf: Pick<ModelShelf, 'find'>,
  ) {}

  async plan(spec: PlanSpec): Promise<JobFacts> {
    return this.worker.plan(spec, await this.#header(spec));
  }

  /** Plans, and estimates the time of all tiles, in seconds, by running one of them. */
  async planWithTime(spec: PlanSpec): Promise<{ readonly plan: JobFacts; readonly seconds: number }> {
    const header = await this.#header(spec);
    const plan = await this.worker.plan(spec, header);
    return { plan, seconds: await this.worker.estimate(spec, header) };
  }

  async #header(spec: PlanSpec): Promise<ImageHeader> {
    return this.readers.header(spec, (await this.shelf.find(spec.model)).card);
  }
}
