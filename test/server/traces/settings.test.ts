import { describe, expect, it } from 'vitest';
import { samplerOf } from '../../../server/traces/sampler.js';
import { traceSettingsOf } from '../../../server/traces/settings.js';

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318/' };

describe('traces', () => {
  it('are off without an endpoint, and where they are switched off', () => {
    for (const variables of [
      {},
      { OTEL_EXPORTER_OTLP_ENDPOINT: ' ' },
      { ...ENDPOINT, OTEL_SDK_DISABLED: 'true' },
      { ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' },
    ])
      expect(traceSettingsOf(variables)).toBeNull();
  });

  it('are sent to the endpoint of all signals, with the defaults of OpenTelemetry', () => {
    expect(traceSettingsOf(ENDPOINT)).toEqual({
      url: 'http://collector:4318/v1/traces',
      headers: {},
      timeoutMs: 10_000,
      resource: { 'service.name': 'unseam' },
      sampler: { name: 'parentbased_always_on', ratio: 1 },
      maxQueue: 2048,
      maxBatch: 512,
      delayMs: 5000,
    });
  });

  it('are sent as their own variables say', () => {
    const variables = {
      ...ENDPOINT,
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://traces.example/otlp',
      OTEL_EXPORTER_OTLP_HEADERS: 'api-key=a%20secret, x-team=lab',
      OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'x-team=pathology',
      OTEL_EXPORTER_OTLP_TIMEOUT: '2000',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
      OTEL_RESOURCE_ATTRIBUTES: 'service.name=other,deployment.environment.name=test',
      OTEL_SERVICE_NAME: 'unseam-lab',
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.25',
      OTEL_BSP_MAX_QUEUE_SIZE: '10',
    };
    expect(traceSettingsOf(variables)).toMatchObject({
      url: 'https://traces.example/otlp',
      headers: { 'api-key': 'a secret', 'x-team': 'pathology' },
      timeoutMs: 2000,
      resource: { 'service.name': 'unseam-lab', 'deployment.environment.name': 'test' },
      sampler: { name: 'parentbased_traceidratio', ratio: 0.25 },
      maxQueue: 10,
      maxBatch: 10,
    });
  });

  it.each([
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318', /ENDPOINT is collector:4318; it must be an address/],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://me:secret@collector', /^(?!.*secret).*HEADERS/],
    ['OTEL_TRACES_EXPORTER', 'zipkin', /EXPORTER is zipkin; it must be one of otlp, none/],
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc', /OTLP_PROTOCOL is grpc; it must be one of http\/json, http/],
    [
      'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL',
      'http',
      /OTLP_TRACES_PROTOCOL is http; it must be one of http\/json/,
    ],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'secret', /^(?!.*secret).*HEADERS must be a list/],
    ['OTEL_EXPORTER_OTLP_TIMEOUT', 'soon', /TIMEOUT is soon; it must be an integer from 1 to/],
    ['OTEL_BSP_MAX_QUEUE_SIZE', '2.5', /QUEUE_SIZE is 2.5; it must be an integer/],
    ['OTEL_BSP_SCHEDULE_DELAY', '1e99', /DELAY is 1e99; it must be an integer/],
    ['OTEL_TRACES_SAMPLER', 'some', /SAMPLER is some; it must be one of always_on/],
    ['OTEL_TRACES_SAMPLER_ARG', '2', /SAMPLER_ARG is 2; it must be a number from 0 to 1/],
  ])('refuse a value of %s that cannot hold: %s', (name, value, message) => {
    expect(() => traceSettingsOf({ ...ENDPOINT, [name]: value })).toThrow(message);
  });
});

describe('a sampler', () => {
  const ids = Array.from(
    { length: 256 },
    (_, i) => `${'0'.repeat(18)}${i.toString(16).padStart(2, '0')}${'5'.repeat(12)}`,
  );

  it('follows the caller, and decides for itself without one', () => {
    expect(samplerOf('parentbased_always_on', 1)(ids[0]!, false)).toBe(false);
    expect(samplerOf('parentbased_always_on', 1)(ids[0]!, null)).toBe(true);
    expect(samplerOf('parentbased_always_off', 1)(ids[0]!, true)).toBe(true);
    expect(samplerOf('always_off', 1)(ids[0]!, true)).toBe(false);
    expect(samplerOf('parentbased_traceidratio', 0)(ids[0]!, true)).toBe(true);
  });

  it('records a part of the traces, by their ids', () => {
    for (const ratio of [0, 0.25, 1]) {
      const sampler = samplerOf('traceidratio', ratio);
      expect(ids.filter((id) => sampler(id, null)).length / ids.length).toBe(ratio);
    }
  });
});
