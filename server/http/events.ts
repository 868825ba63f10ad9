import type { Request, Response } from 'express';
import type { EventLog, JobEvent } from '../jobs/events.js';
import { hasEnded, type JobRecord } from '../jobs/job.js';

/** How often a silent stream shows that it is alive: proxies close those that do not. */
const HEARTBEAT_MS = 15_000;
/** A listener that lets so many bytes pile up is left; it comes back with its last event's id. */
const MAX_BEHIND_BYTES = 1 << 20;

/**
 * Tells a job's events as they happen (Server-Sent Events, WHATWG HTML section 9.2): `state` with the
 * job as it then is, and `progress`. A listener that comes back with `Last-Event-ID` gets what it
 * missed; where that is gone, and at first, the job as it is now. The stream ends with the job.
 */
export function streamEvents(
  request: Request,
  response: Response,
  log: EventLog,
  view: () => Pick<JobRecord, 'state'>,
): void {
  const ended = () => hasEnded(view());
  const seen = request.get('Last-Event-ID');
  const missed = seen === undefined ? null : log.after(Number(seen));
  if (ended() && missed?.length === 0) {
    response.status(204).end(); // tells the listener not to come back
    return;
  }
  response
    .status(200)
    .set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
    .flushHeaders();
  const write = ({ id, type, data }: JobEvent): void => {
    response.write(
      `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(type === 'state' ? view() : data)}\n\n`,
    );
    if (response.writableLength > MAX_BEHIND_BYTES) response.destroy();
  };
  for (const event of missed ?? [{ id: log.last, type: 'state' as const, data: null }]) write(event);
  // Not in the loop: after the first event of a job that has ended since, others are still to be told.
  if (ended()) {
    response.end();
    return;
  }
  const stop = log.listen((event) => {
    if (event !== null) write(event);
    if (event === null || (event.type === 'state' && ended())) response.end();
  });
  const heartbeat = setInterval(() => response.write(': alive\n\n'), HEARTBEAT_MS);
  response.once('close', () => {
    stop();
    clearInterval(heartbeat);
  });
}
