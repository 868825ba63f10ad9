import { randomUUID } from 'node:crypto';

/** Where in which trace something happens: what W3C Trace Context passes on. */
export interface TraceContext {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
  /** Whether the caller records the trace. */
  readonly isSampled: boolean;
  /** `tracestate`: what tracing systems pass on to each other; empty for nothing. */
  readonly state: string;
}

/** The length up to which a `tracestate` is passed on: all receivers accept this much. */
const MAX_STATE = 512;
const TRACEPARENT =
  /^(?<version>[\da-f]{2})-(?<trace>[\da-f]{32})-(?<span>[\da-f]{16})-(?<flags>[\da-f]{2})(?<rest>-.*)?$/;

/**
 * Reads the headers of a request (https://www.w3.org/TR/trace-context/); null where they are missing or malformed, and a
 * trace begins here.
 */
export function readTraceContext(
  traceparent: string | undefined,
  tracestate: string | undefined,
): TraceContext | null {
  const parts = TRACEPARENT.exec(traceparent?.trim() ?? '')?.groups;
  if (!parts) return null;
  const { version, trace, span, flags, rest } = parts;
  // version 00 has four parts; later ones may have more, and begin with these
  if (version === 'ff' || (version === '00' && rest !== undefined)) return null;
  if (/^0+$/.test(trace!) || /^0+$/.test(span!)) return null;
  const state = tracestate !== undefined && tracestate.length <= MAX_STATE ? tracestate : '';
  return { traceId: trace!, spanId: span!, isSampled: (Number.parseInt(flags!, 16) & 1) === 1, state };
}

// Node.js draws the bytes of UUIDs in advance; those of single ids would take longer than all else of a span.
export const newTraceId = (): string => randomUUID().replaceAll('-', '');
export const newSpanId = (): string => {
  const id = randomUUID();
  return id.slice(0, 4) + id.slice(-12); // its other digits are not all random
};
