import type { Job } from '../../client/index.js';
import { probe } from '../closed-loop.js';
import { IMAGE_HEADERS, isRefusal, type Outcome, outcomeOf, segmentPath } from '../images.js';
import { followJob } from '../jobs.js';
import { drawArrivals } from '../measure/arrivals.js';
import { sendOnSchedule } from '../measure/open-loop.js';
import { distributionOf, rounded } from '../measure/percentiles.js';
import { drawImage, type Sample } from '../samples.js';
import type { Reply, Target } from '../target.js';
import type { Load, Scenario } from './scenario.js';

/** Requests at once, as a multiple of those that the server admits; and how often. */
const BEYOND = 4;
const WAVES = 3;
/** All of a wave are sent within this time. */
const WAVE_S = 0.25;
/** Beyond this, a request that is still refused is lost. */
const PATIENCE_MS = 300_000;
/** Larger images would take the test minutes. */
const MAX_PIXELS = 1_500_000;
const PROBES = 20;

/** An image of a wave, and whether its client waits for the mask or has a job made. */
interface Attempt {
  readonly sample: Sample;
  readonly isAsync: boolean;
}

/** What the server answered while it was overrun. */
class Answers {
  readonly statuses: Record<string, number> = {};
  otherStatuses = 0;
  refusalsWithoutRetryAfter = 0;

  add({ status, headers }: Reply): void {
    this.statuses[status] = (this.statuses[status] ?? 0) + 1;
    if (status === 200 || status === 202) return;
    if (!isRefusal(status)) this.otherStatuses++;
    else if (!(Number(headers['retry-after']) > 0)) this.refusalsWithoutRetryAfter++;
  }

  get refused(): number {
    return (this.statuses[429] ?? 0) + (this.statuses[503] ?? 0);
  }
}

export const burst: Scenario = {
  about:
    'Four times as many requests as the server admits arrive at once, half of them for jobs; ' +
    'clients that are refused come back when the response says so, until they have their mask.',
  serverArgs: ['--queue', '16'],
  thresholds: {
    otherStatuses: { most: 0 },
    refusalsWithoutRetryAfter: { most: 0 },
    refusedOfResponses: { least: 0.05 },
    probeOverImage: { most: 3 },
  },
  async run(load) {
    const { samples, random, target } = load;
    const admission = await admissionOf(target);
    const started = performance.now();
    const images = samples.images.filter(({ pixels }) => pixels <= MAX_PIXELS);
    const answers = new Answers();
    const sent: Awaited<ReturnType<typeof sendWave>> = [];
    const sendWave = (count: number) =>
      sendOnSchedule(
        drawArrivals(random, count / WAVE_S, WAVE_S, () => ({
          sample: drawImage(random, images),
          isAsync: random.next() < 0.5,
        })),
        Number.POSITIVE_INFINITY,
        load.clock,
        (attempt) => sendUntilAccepted(load, attempt, answers),
      );
    let isOver = false;
    const probing = probeUntil(load, () => isOver);
    for (let wave = 0; wave < WAVES; wave++) {
      sent.push(...(await sendWave(BEYOND * admission)));
      load.log(`wave ${wave + 1} of ${WAVES}: ${JSON.stringify(answers.statuses)}`);
    }
    isOver = true;
    const probes = await probing;
    return {
      groups: [{ name: 'images', sent }],
      errors: probes.errors,
      wrongMasks: 0,
      lost: sent.filter(({ result }) => result.verdict === 'refused').length,
      elapsedS: (performance.now() - started) / 1000,
      facts: {
        admission,
        waves: WAVES,
        requestsPerWave: BEYOND * admission,
        otherStatuses: answers.otherStatuses,
        refusalsWithoutRetryAfter: answers.refusalsWithoutRetryAfter,
        refused: answers.refused,
        probes: probes.timesMs.length,
        probeP95Ms: distributionOf(probes.timesMs).p95,
      },
      statuses: answers.statuses,
    };
  },
  ratios({ facts, groups }, { timesMs }) {
    const { otherStatuses = 0, refusalsWithoutRetryAfter = 0, refused = 0, probeP95Ms = 0 } = facts;
    const sent = groups.reduce((sum, group) => sum + group.sent.length, 0);
    return {
      otherStatuses,
      refusalsWithoutRetryAfter,
      refusedOfResponses: rounded(refused / (refused + sent)),
      probeOverImage: rounded(probeP95Ms / distributionOf([...timesMs.values()]).p50),
    };
  },
};

/** How many jobs the server admits at a time: those of this token, if that is less. */
async function admissionOf(target: Target): Promise<number> {
  const { limits } = await target.client.limits();
  const values = limits.flatMap(({ name, value }) =>
    (name === 'jobs' || name === 'tokenJobs') && value !== null ? [value] : [],
  );
  return Math.min(...values);
}

/** Sends an image again and again, as `Retry-After` says, until it is accepted; then sees it through to its mask. */
async function sendUntilAccepted(
  { target, model, clock }: Load,
  { sample, isAsync }: Attempt,
  answers: Answers,
): Promise<Outcome> {
  const prefer = isAsync ? { prefer: 'respond-async' } : {};
  for (const deadline = clock.now() + PATIENCE_MS; ; ) {
    const started = performance.now();
    const reply = await target.send({
      method: 'POST',
      path: `${segmentPath(model)}&output=labels:png`,
      route: '/v1/segment',
      headers: { ...IMAGE_HEADERS, ...prefer },
      body: sample.image,
    });
    answers.add(reply);
    if (reply.status === 202) {
      const { id } = JSON.parse(reply.body.toString()) as Job;
      return followJob(target, sample, id, started);
    }
    const outcome = outcomeOf(target, sample, reply);
    if (outcome.verdict !== 'refused' || clock.now() > deadline) return outcome;
    const waitS = Number(reply.headers['retry-after'] ?? 1);
    await clock.until(clock.now() + waitS * 1000);
  }
}

/** Asks for the models all the time: a server that is overrun still answers what costs it nothing. */
async function probeUntil({ target }: Load, isOver: () => boolean) {
  const timesMs: number[] = [];
  let errors = 0;
  while (!isOver()) {
    const probed = await probe(target, '/v1/models', PROBES);
    timesMs.push(...probed.timesMs);
    errors += probed.errors;
  }
  return { timesMs, errors };
}
