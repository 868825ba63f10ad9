import { afterEach, describe, expect, it } from 'vitest';
import { runClosedLoop } from '../../loadtest/closed-loop.js';
import { sendImage } from '../../loadtest/images.js';
import { removeJob, runJob } from '../../loadtest/jobs.js';
import type { Exposition } from '../../loadtest/measure/exposition.js';
import { Ledger } from '../../loadtest/measure/ledger.js';
import type { Clock } from '../../loadtest/measure/open-loop.js';
import { Random } from '../../loadtest/measure/random.js';
import { reconcile } from '../../loadtest/measure/reconcile.js';
import { drawImage, mixOf, type Sample } from '../../loadtest/samples.js';
import { burst } from '../../loadtest/scenarios/burst.js';
import type { Load } from '../../loadtest/scenarios/scenario.js';
import { Target } from '../../loadtest/target.js';
import { FAKE_RESULT, type FakeServer, fakeImage, fakeServer } from '../support/fake-server.js';
import { testFolder } from '../support/files.js';

const sampleOf = (width: number, share: number, mask = FAKE_RESULT): Sample => ({
  name: `${width}`,
  size: `${width}×10`,
  pixels: width * 10,
  share,
  image: fakeImage(width, 10),
  mask,
});
const IMAGES = [sampleOf(20, 0.9), sampleOf(40, 0.1)];

/** Refused requests come back a hundred times as soon as they should. */
const impatient: Clock = {
  now: () => performance.now(),
  until: (ms) => new Promise((resolve) => setTimeout(resolve, (ms - performance.now()) / 100)),
};

let server: FakeServer | null = null;
let target: Target;
let before: Exposition;

async function start(queueLimit: number): Promise<void> {
  server = await fakeServer(await testFolder(), { queueLimit });
  target = new Target(server.url, null, new Ledger());
  before = await target.metrics();
}

/** What the server counts otherwise than the client; a request is counted just after its client has it. */
const differences = async () =>
  reconcile(before, await target.metrics(), target.ledger).filter(({ agrees }) => !agrees);

afterEach(async () => {
  target.close();
  await server?.close();
});

describe('the load', () => {
  it('counts what the server counts: images, jobs, and those that autocannon sends', async () => {
    await start(64);
    expect(await sendImage(target, 'shapes', IMAGES[0]!)).toMatchObject({ verdict: 'right', status: 200 });
    const job = await runJob(target, 'shapes', IMAGES[1]!, 'bulk');
    expect(job).toMatchObject({ verdict: 'right', status: 202 });
    const result = await runClosedLoop(target, 'shapes', [...IMAGES, ...IMAGES, IMAGES[0]!], 2);
    expect(result).toMatchObject({ requests: 5, errors: 0, wrongMasks: 0, pixels: 1400 });
    await expect.poll(differences).toEqual([]);
    await removeJob(target, job.id!);
    await expect.poll(differences).toEqual([]);
    expect(target.jobs.size).toBe(0);
  });

  it('finds a mask that differs in one byte, by every way', async () => {
    await start(64);
    const other = sampleOf(20, 1, Buffer.from(FAKE_RESULT).fill(1, 999));
    expect(await sendImage(target, 'shapes', other)).toMatchObject({ verdict: 'wrong' });
    expect(await runJob(target, 'shapes', other, 'normal')).toMatchObject({ verdict: 'wrong' });
    expect(await runClosedLoop(target, 'shapes', [other], 1)).toMatchObject({ errors: 0, wrongMasks: 1 });
  });

  it('finds a request that failed', async () => {
    await start(64);
    const broken = { ...IMAGES[0]!, image: Buffer.from('not an image') };
    expect(await sendImage(target, 'shapes', broken)).toMatchObject({ verdict: 'failed', status: 415 });
    expect(await runJob(target, 'shapes', broken, 'bulk')).toMatchObject({ verdict: 'failed', id: null });
    expect(await runClosedLoop(target, 'shapes', [broken], 1)).toMatchObject({ errors: 1 });
  });
});

describe('a burst', () => {
  it('beyond the admission limit is refused in part, and loses nothing', async () => {
    await start(4);
    const load: Load = {
      target,
      model: 'shapes',
      samples: { images: IMAGES, slides: [] },
      random: new Random(1),
      speed: { pixelsPerSecond: 1, imagesPerSecond: 1 },
      options: { seconds: null, rate: null, connections: 8 },
      clock: impatient,
      log: () => {},
    };
    const findings = await burst.run(load);
    expect(findings).toMatchObject({ errors: 0, lost: 0 });
    expect(findings.facts).toMatchObject({ otherStatuses: 0, refusalsWithoutRetryAfter: 0 });
    expect(Object.keys(findings.statuses!).sort()).toEqual(['200', '202', '429']);
    const verdicts = findings.groups[0]!.sent.map(({ result }) => result.verdict);
    expect(verdicts.length).toBeGreaterThan(30);
    expect(verdicts.every((verdict) => verdict === 'right')).toBe(true);
    await expect.poll(differences).toEqual([]);
  });
});

describe('the mix of images', () => {
  it('is drawn by the shares of the sizes', () => {
    const random = new Random(1);
    const drawn = Array.from({ length: 2000 }, () => drawImage(random, IMAGES).name);
    expect(drawn.filter((name) => name === '40').length / 2000).toBeCloseTo(0.1, 1);
    const mix = mixOf(random, [...IMAGES, sampleOf(80, 0.001)], 50).map(({ name }) => name);
    expect(['20', '40', '80'].map((name) => mix.filter((each) => each === name).length)).toEqual([45, 5, 1]);
  });
});
