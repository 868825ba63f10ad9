import type { Request, Response } from 'express';
import type { EventLog, JobEvent } from '../jobs/events.js';
import { hasEnded, type JobRecord } from '../jobs/job.js';

/** Interval of comments in a silent stream, in ms: proxies close idle ones. */
const HEARTBEAT_MS = 15_000;
/** A client with more unread bytes is disconnected; it reconnects with the id of its last event. */
const MAX_BUFFERED_BYTES = 1 << 20;

export interface StreamOptions {
  /** Whether the caller may still see them: a stream may outlive its token. Default: not checked. */
  readonly isAllowed?: () => Promise<boolean>;
  /** Interval in ms at which silent streams get a comment, and callers are checked. Default 15,000. */
  readonly heartbeatMs?: number;
}

/**
 * Streams a job's events (Server-Sent Events, WHATWG HTML section 9.2): `state` with the job as it is then, and
 * `progress`. A client that reconnects with `Last-Event-ID` receives the events that it missed; a new client, or one
 * whose events are no longer buffered, the present state. The stream ends with the job.
 */
export function streamEvents(
  request: Request,
  response: Response,
  log: EventLog,
  view: () => Pick<JobRecord, 'state'>,
  { isAllowed, heartbeatMs = HEARTBEAT_MS }: StreamOptions = {},
): void {
  const ended = () => hasEnded(view());
  const seen = request.get('Last-Event-ID');
  const missed = seen === undefined ? null : log.after(Number(seen));
  if (ended() && missed?.length === 0) {
    response.status(204).end(); // by the specification, the client does not reconnect
    return;
  }
  response.status(200).set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  if (request.method === 'HEAD') {
    response.end(); // the connection of one that stayed open would wait for the end of the job
    return;
  }
  response.flushHeaders();
  const write = ({ id, type, data }: JobEvent): void => {
    response.write(
      `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(type === 'state' ? view() : data)}\n\n`,
    );
    if (response.writableLength > MAX_BUFFERED_BYTES) response.destroy();
  };
  for (const event of missed ?? [{ id: log.last, type: 'state' as const, data: null }]) write(event);
  // Not in the loop: the events that were missed are all sent, even where the first already says that the job ended.
  if (ended()) {
    response.end();
    return;
  }
  const stop = log.listen((event) => {
    if (event !== null) write(event);
    if (event === null || (event.type === 'state' && ended())) response.end();
  });
  const heartbeat = setInterval(() => {
    response.write(': alive\n\n');
    void isAllowed?.().then((stillIs) => stillIs || response.end());
  }, heartbeatMs);
  response.once('close', () => {
    stop();
    clearInterval(heartbeat);
  });
}
