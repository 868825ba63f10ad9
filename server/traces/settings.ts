import { RequestError } from '../contract/errors.js';
import { SAMPLER_NAMES, type SamplerName } from './sampler.js';

/** Where traces are sent, and which. */
export interface TraceSettings {
  /** Of `POST`, such as `http://collector:4318/v1/traces`. */
  readonly url: string;
  /** Headers of each request, such as a key of the receiver. */
  readonly headers: Readonly<Record<string, string>>;
  /** Time limit of a request, in ms. */
  readonly timeoutMs: number;
  /** What the traces are of: `service.name` and others. */
  readonly resource: Readonly<Record<string, string>>;
  readonly sampler: { readonly name: SamplerName; readonly ratio: number };
  /** Spans that wait to be sent, at most; more are dropped. */
  readonly maxQueue: number;
  /** Spans of one request, at most. */
  readonly maxBatch: number;
  /** How long a span waits for others, in ms. */
  readonly delayMs: number;
}

/** Environment variables by their names. */
type Variables = Readonly<Record<string, string | undefined>>;

/**
 * Reads OpenTelemetry's environment variables
 * (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
 *
 * @returns null where no endpoint is configured, or traces are switched off
 * @throws RequestError `bad-request` for a value that cannot hold, which is named
 */
export function traceSettingsOf(variables: Variables): TraceSettings | null {
  const get = (name: string) => variables[name]?.trim() || undefined; // empty is as if it were not set
  const url = endpointOf(get);
  if (url === null || get('OTEL_SDK_DISABLED')?.toLowerCase() === 'true') return null;
  if (!['otlp', undefined].includes(get('OTEL_TRACES_EXPORTER'))) return null;
  const protocol = get('OTEL_EXPORTER_OTLP_TRACES_PROTOCOL') ?? get('OTEL_EXPORTER_OTLP_PROTOCOL');
  if (protocol === 'grpc')
    throw invalid('OTEL_EXPORTER_OTLP_PROTOCOL', protocol, 'http/json: traces are sent by HTTP');
  const maxQueue = numberOf(get, 'OTEL_BSP_MAX_QUEUE_SIZE', 2048, 1);
  return {
    url,
    headers: {
      ...pairsOf(get, 'OTEL_EXPORTER_OTLP_HEADERS'),
      ...pairsOf(get, 'OTEL_EXPORTER_OTLP_TRACES_HEADERS'),
    },
    timeoutMs: numberOf(
      get,
      'OTEL_EXPORTER_OTLP_TRACES_TIMEOUT',
      numberOf(get, 'OTEL_EXPORTER_OTLP_TIMEOUT', 10_000, 1),
      1,
    ),
    resource: {
      'service.name': 'unseam',
      ...pairsOf(get, 'OTEL_RESOURCE_ATTRIBUTES'),
      ...(get('OTEL_SERVICE_NAME') !== undefined && { 'service.name': get('OTEL_SERVICE_NAME')! }),
    },
    sampler: samplerSettings(get),
    maxQueue,
    maxBatch: Math.min(maxQueue, numberOf(get, 'OTEL_BSP_MAX_EXPORT_BATCH_SIZE', 512, 1)),
    delayMs: numberOf(get, 'OTEL_BSP_SCHEDULE_DELAY', 5000, 0),
  };
}

type Get = (name: string) => string | undefined;

/** The address for traces: as it is given for them, or that of all signals with `/v1/traces`. */
function endpointOf(get: Get): string | null {
  const [own, all] = ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT'];
  const name = get(own!) !== undefined ? own! : all!;
  const text = get(name);
  if (text === undefined) return null;
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol))
    throw invalid(name, text, 'an address such as http://collector:4318');
  if (new URL(text).username)
    // a secret: it is not repeated
    throw invalid(name, null, `an address without a user: its key belongs into OTEL_EXPORTER_OTLP_HEADERS`);
  return name === own ? text : `${text.replace(/\/+$/, '')}/v1/traces`;
}

function samplerSettings(get: Get): TraceSettings['sampler'] {
  const name = get('OTEL_TRACES_SAMPLER') ?? 'parentbased_always_on';
  const known = SAMPLER_NAMES.find((each) => each === name);
  if (known === undefined) throw invalid('OTEL_TRACES_SAMPLER', name, `one of ${SAMPLER_NAMES.join(', ')}`);
  return { name: known, ratio: numberOf(get, 'OTEL_TRACES_SAMPLER_ARG', 1, 0, 1) };
}

/** `key=value,key=value`, with percent-encoded values. */
function pairsOf(get: Get, name: string): Record<string, string> {
  const pairs = (get(name) ?? '').split(',').filter((pair) => pair.trim());
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      // a header may be a secret: it is not repeated
      if (at < 1) throw invalid(name, null, 'a list such as key=value,key=value');
      try {
        return [pair.slice(0, at).trim(), decodeURIComponent(pair.slice(at + 1).trim())];
      } catch {
        throw invalid(name, null, 'a list of percent-encoded values');
      }
    }),
  );
}

function numberOf(get: Get, name: string, byDefault: number, min: number, max = 2 ** 31 - 1): number {
  const text = get(name);
  if (text === undefined) return byDefault;
  const value = Number(text);
  if (!(value >= min && value <= max)) throw invalid(name, text, `a number from ${min} to ${max}`);
  return value;
}

const invalid = (name: string, text: string | null, right: string): RequestError =>
  new RequestError('bad-request', `${name}${text === null ? '' : ` is ${text}; it`} must be ${right}`);
