import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { DURATIONS } from './buckets.js';

/** What clients send and receive. */
export function requestMetrics(registry: Registry) {
  const registers = [registry];
  return {
    requestDuration: new Histogram({
      name: 'unseam_http_request_duration_seconds',
      help: 'Time from the headers of a request to the end of its response.',
      labelNames: ['route', 'method', 'status'] as const,
      buckets: DURATIONS,
      enableExemplars: true,
      registers,
    }),
    requestsInFlight: new Gauge({
      name: 'unseam_http_requests_in_flight',
      help: 'Requests whose responses have not ended.',
      registers,
    }),
    problems: new Counter({
      name: 'unseam_http_problems_total',
      help: 'Requests that were refused or have failed, by the code of the error.',
      labelNames: ['code'] as const,
      registers,
    }),
    traceSpans: new Counter({
      name: 'unseam_trace_spans_total',
      help: 'Spans of traces that were sent, or dropped because the receiver does not take them.',
      labelNames: ['outcome'] as const,
      registers,
    }),
    uploadBytes: new Counter({
      name: 'unseam_upload_bytes_total',
      help: 'Bytes of images that were received, in bodies and in resumable uploads.',
      registers,
    }),
    uploadsReceiving: new Gauge({
      name: 'unseam_uploads_receiving',
      help: 'Bodies with images that are being received.',
      registers,
    }),
    uploadReserved: new Gauge({
      name: 'unseam_upload_reserved_bytes',
      help: 'Disk space that is reserved for bytes of uploads that were not received yet.',
      registers,
    }),
    resultBytes: new Counter({
      name: 'unseam_result_bytes_total',
      help: 'Bytes of results that were sent.',
      labelNames: ['output'] as const,
      registers,
    }),
  };
}
