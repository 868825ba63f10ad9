const WAITING = 0;
const BEGUN = 1;
const REVOKED = 2;

/**
 * Decides across threads whether a task was begun or revoked, whichever comes first. It is shared memory, because
 * a thread that is busy receives no messages.
 */
export type Ticket = Int32Array<SharedArrayBuffer>;

/** Makes the ticket of a task that waits. */
export const newTicket = (): Ticket => new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/** Begins the task; false where it was revoked. */
export const begin = (ticket: Ticket): boolean =>
  Atomics.compareExchange(ticket, 0, WAITING, BEGUN) === WAITING;

/** Revokes the task; false where it has begun. */
export const revoke = (ticket: Ticket): boolean =>
  Atomics.compareExchange(ticket, 0, WAITING, REVOKED) === WAITING;
