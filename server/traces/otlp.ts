import type { Attributes, SpanData } from './tracer.js';

/** The instrumentation scope of the spans. */
const SCOPE = { name: 'unseam' } as const;
const KINDS = { internal: 1, server: 2 } as const satisfies Record<SpanData['kind'], number>;
const ERROR = 2;

/**
 * Encodes spans as the body of an `ExportTraceServiceRequest` in JSON
 * (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding): ids are hexadecimal, 64-bit integers are strings.
 */
export function encodeSpans(resource: Attributes, spans: readonly SpanData[]): string {
  const scopeSpans = [{ scope: SCOPE, spans: spans.map(spanOf) }];
  return JSON.stringify({
    resourceSpans: [{ resource: { attributes: attributesOf(resource) }, scopeSpans }],
  });
}

function spanOf(span: SpanData) {
  const { traceId, spanId, parentId, state, name, kind, startMs, endMs, attributes, events, error } = span;
  return {
    traceId,
    spanId,
    ...(parentId !== null && { parentSpanId: parentId }),
    ...(state !== '' && { traceState: state }),
    name,
    kind: KINDS[kind],
    startTimeUnixNano: nanosOf(startMs),
    endTimeUnixNano: nanosOf(endMs),
    attributes: attributesOf(attributes),
    events: events.map((event) => ({
      name: event.name,
      timeUnixNano: nanosOf(event.atMs),
      attributes: attributesOf(event.attributes),
    })),
    status: error === null ? {} : { code: ERROR, message: error },
  };
}

/** Ms since 1970 as ns: to the µs, which is all that a double has left. */
const nanosOf = (ms: number): string => `${Math.round(ms * 1000)}000`;

const attributesOf = (attributes: Attributes) =>
  Object.entries(attributes).map(([key, value]) => ({ key, value: typedValue(value) }));

function typedValue(value: string | number | boolean) {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}
