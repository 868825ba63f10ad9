const WAITING = 0;
const BEGUN = 1;
const REVOKED = 2;

/**
 * Settles across threads whether a piece of work was begun or taken back, whichever comes first: shared
 * memory, because the thread that works hears no messages meanwhile.
 */
export type Ticket = Int32Array<SharedArrayBuffer>;

export const newTicket = (): Ticket => new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/** True for the thread that may do the work now; false where it was taken back. */
export const begin = (ticket: Ticket): boolean =>
  Atomics.compareExchange(ticket, 0, WAITING, BEGUN) === WAITING;

/** True where the work had not begun, and never will. */
export const revoke = (ticket: Ticket): boolean =>
  Atomics.compareExchange(ticket, 0, WAITING, REVOKED) === WAITING;
