import { request } from 'node:http';
import type { Random } from '../../loadtest/measure/random.js';
import type { Samples } from '../../loadtest/samples.js';
import type { Target } from '../../loadtest/target.js';
import { pause } from '../server.js';

/** How often each fault was committed, and what the server answered that it should not have. */
export interface FaultCounts {
  readonly counts: Record<string, number>;
  readonly surprises: string[];
}

type Fault = (target: Target, samples: Samples, random: Random, model: string) => Promise<string | null>;

/** The faults, with the pause before each of them, in ms. Each returns what was unexpected, or null. */
const FAULTS: Readonly<Record<string, { readonly everyMs: number; readonly commit: Fault }>> = {
  'uploads that break off': { everyMs: 1500, commit: breakOff },
  'resumable uploads that break off': { everyMs: 4000, commit: breakOffResumable },
  'requests whose clients leave': { everyMs: 4000, commit: leave },
  'cancelled jobs': { everyMs: 5000, commit: cancel },
  'damaged files': { everyMs: 1500, commit: sendDamaged },
};

/** Commits every fault again and again until `isOver`. */
export async function commitFaults(
  target: Target,
  samples: Samples,
  random: Random,
  model: string,
  isOver: () => boolean,
): Promise<FaultCounts> {
  const found: FaultCounts = { counts: {}, surprises: [] };
  const repeat = async (name: string, { everyMs, commit }: (typeof FAULTS)[string]) => {
    while (!isOver()) {
      await pause(everyMs * (0.5 + random.next()));
      const surprise = await commit(target, samples, random, model);
      found.counts[name] = (found.counts[name] ?? 0) + 1;
      if (surprise !== null) found.surprises.push(`${name}: ${surprise}`);
    }
  };
  await Promise.all(Object.entries(FAULTS).map(([name, fault]) => repeat(name, fault)));
  return found;
}

/** Sends a part of a body, and closes the connection. */
async function sendPart(
  { url, headers }: Target,
  method: string,
  path: string,
  { body, length, more = {} }: { body: Buffer; length: number; more?: Record<string, string> },
): Promise<void> {
  await new Promise<void>((resolve) => {
    const sent = request(`${url}${path}`, {
      method,
      headers: { ...headers, 'content-length': String(length), ...more },
    });
    sent.on('error', () => resolve());
    sent.on('close', () => resolve());
    sent.on('response', (response) => response.resume());
    sent.write(body, () => setTimeout(() => sent.destroy(), 50));
  });
}

async function breakOff(target: Target, { slides }: Samples, random: Random, model: string): Promise<null> {
  const { image } = slides[0]!;
  const path = random.next() < 0.5 ? '/v1/jobs' : '/v1/segment';
  const body = image.subarray(0, 1 + random.below(2 << 20));
  await sendPart(target, 'POST', `${path}?model=${model}`, { body, length: image.length });
  return null;
}

/** Resumes an upload by the tus protocol, breaks off, and removes it. */
async function breakOffResumable(
  target: Target,
  { slides }: Samples,
  random: Random,
): Promise<string | null> {
  const { image } = slides[0]!;
  const tus = { 'tus-resumable': '1.0.0' };
  const created = await target.send({
    method: 'POST',
    path: '/v1/uploads',
    route: '/v1/uploads',
    headers: { ...tus, 'upload-length': String(image.length) },
  });
  const location = created.headers.location;
  if (created.status === 429 || created.status === 507) return null;
  if (created.status !== 201 || location === undefined) return `created with ${created.status}`;
  const { pathname } = new URL(location, target.url);
  const body = image.subarray(0, 1 + random.below(1 << 20));
  await sendPart(target, 'PATCH', pathname, {
    body,
    length: image.length,
    more: { ...tus, 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' },
  });
  for (;;) {
    const route = '/v1/uploads/:id';
    const { status } = await target.send({ method: 'DELETE', path: pathname, route, headers: tus });
    if (status === 204) return null;
    // The connection that broke off still holds it, for a moment.
    if (status !== 409 && status !== 423) return `removed with ${status}`;
    await pause(200);
  }
}

/** Sends a whole image, and does not wait for its mask. */
async function leave(target: Target, { images }: Samples, random: Random, model: string): Promise<null> {
  const { image } = images.at(-1 - random.below(3))!;
  await sendPart(target, 'POST', `/v1/segment?model=${model}`, { body: image, length: image.length });
  return null;
}

/** Submits a slide, cancels it after a while, and removes it. */
async function cancel(
  target: Target,
  { slides }: Samples,
  random: Random,
  model: string,
): Promise<string | null> {
  const accepted = await target.send({
    method: 'POST',
    path: `/v1/jobs?model=${model}&priority=bulk`,
    route: '/v1/jobs',
    body: slides[random.below(slides.length)]!.image,
  });
  if (accepted.status === 429) return null;
  if (accepted.status !== 202) return `submitted with ${accepted.status}: ${accepted.body}`;
  const { id } = JSON.parse(accepted.body.toString()) as { id: string };
  await pause(random.below(3000));
  const remove = () => target.send({ method: 'DELETE', path: `/v1/jobs/${id}`, route: '/v1/jobs/:id' });
  const cancelled = await remove();
  if (cancelled.status === 204) return null; // it had ended
  if (cancelled.status !== 200) return `cancelled with ${cancelled.status}: ${cancelled.body}`;
  const removed = await remove();
  return removed.status === 204 ? null : `removed with ${removed.status}: ${removed.body}`;
}

const REFUSALS = [400, 413, 415, 422];

/** Sends what is no image, half of one, or one with some bytes changed: of the last, any mask is right. */
async function sendDamaged(
  target: Target,
  { images }: Samples,
  random: Random,
  model: string,
): Promise<string | null> {
  const whole = images[random.below(images.length)]!.image;
  const kind = random.below(3);
  const bytes = Buffer.from(kind === 0 ? whole.subarray(1000, 5000) : whole);
  const body = kind === 1 ? bytes.subarray(0, bytes.length >> 1) : bytes;
  if (kind === 2) for (let i = 0; i < 20; i++) body[random.below(body.length)] = random.below(256);
  const { status, failure } = await target.send({
    method: 'POST',
    path: `/v1/segment?model=${model}`,
    route: '/v1/segment',
    body,
  });
  if (REFUSALS.includes(status) || status === 429 || (kind === 2 && status === 200)) return null;
  return `${['no image', 'half an image', 'changed bytes'][kind]} got ${failure ?? status}`;
}
