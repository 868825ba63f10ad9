import { RequestError } from '../contract/errors.js';
import { SAMPLER_NAMES, type SamplerName } from './sampler.js';

/** Where traces are sent, and which. */
export interface TraceSettings {
  /** URL that spans are posted to, such as `http://collector:4318/v1/traces`. */
  readonly url: string;
  /** Headers of each request, such as a key of the receiver. */
  readonly headers: Readonly<Record<string, string>>;
  /** Time limit of a request, in ms. */
  readonly timeoutMs: number;
  /** Attributes of the service: `service.name` and others. */
  readonly resource: Readonly<Record<string, string>>;
  readonly sampler: { readonly name: SamplerName; readonly ratio: number };
  /** Spans that wait to be sent, at most; more are dropped. */
  readonly maxQueue: number;
  /** Spans of one request, at most. */
  readonly maxBatch: number;
  /** How long a span waits for others, in ms. */
  readonly delayMs: number;
}

const EXPORTERS = ['otlp', 'none'] as const;
const PROTOCOLS = ['http/json', 'http/protobuf'] as const;
/** The longest delay of a timer, in ms. */
const MAX_INTEGER = 2 ** 31 - 1;

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
  if (choiceOf(get, 'OTEL_TRACES_EXPORTER', EXPORTERS) === 'none') return null;
  // Either is sent as JSON, which receivers of protobuf over HTTP accept as well.
  choiceOf(
    get,
    firstSet(get, 'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'OTEL_EXPORTER_OTLP_PROTOCOL'),
    PROTOCOLS,
  );
  const maxQueue = integerOf(get, 'OTEL_BSP_MAX_QUEUE_SIZE', 2048, 1);
  return {
    url,
    headers: {
      ...pairsOf(get, 'OTEL_EXPORTER_OTLP_HEADERS'),
      ...pairsOf(get, 'OTEL_EXPORTER_OTLP_TRACES_HEADERS'),
    },
    timeoutMs: integerOf(
      get,
      firstSet(get, 'OTEL_EXPORTER_OTLP_TRACES_TIMEOUT', 'OTEL_EXPORTER_OTLP_TIMEOUT'),
      10_000,
      1,
    ),
    resource: {
      'service.name': 'unseam',
      ...pairsOf(get, 'OTEL_RESOURCE_ATTRIBUTES'),
      ...(get('OTEL_SERVICE_NAME') !== undefined && { 'service.name': get('OTEL_SERVICE_NAME')! }),
    },
    sampler: samplerSettings(get),
    maxQueue,
    maxBatch: Math.min(maxQueue, integerOf(get, 'OTEL_BSP_MAX_EXPORT_BATCH_SIZE', 512, 1)),
    delayMs: integerOf(get, 'OTEL_BSP_SCHEDULE_DELAY', 5000, 0),
  };
}

type Get = (name: string) => string | undefined;

/** The address for traces: as it is given for them, or that of all signals with `/v1/traces`. */
function endpointOf(get: Get): string | null {
  const own = 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT';
  const name = firstSet(get, own, 'OTEL_EXPORTER_OTLP_ENDPOINT');
  const text = get(name);
  if (text === undefined) return null;
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol))
    throw invalid(name, text, 'an address such as http://collector:4318');
  if (new URL(text).username)
    // a secret: it is not repeated
    throw invalid(name, null, `an address without a user: its key belongs into OTEL_EXPORTER_OTLP_HEADERS`);
  return name === own ? text : `${text.replace(/\/+$/, '')}/v1/traces`;
}

/** The variable that holds: the one of traces where it is set, or else that of all signals. */
const firstSet = (get: Get, own: string, all: string): string => (get(own) === undefined ? all : own);

function samplerSettings(get: Get): TraceSettings['sampler'] {
  const name = choiceOf(get, 'OTEL_TRACES_SAMPLER', SAMPLER_NAMES) ?? 'parentbased_always_on';
  return { name, ratio: ratioOf(get, 'OTEL_TRACES_SAMPLER_ARG') };
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

function choiceOf<Choice extends string>(
  get: Get,
  name: string,
  choices: readonly Choice[],
): Choice | undefined {
  const text = get(name);
  const choice = choices.find((each) => each === text);
  if (text !== undefined && choice === undefined) throw invalid(name, text, `one of ${choices.join(', ')}`);
  return choice;
}

function integerOf(get: Get, name: string, byDefault: number, min: number): number {
  const text = get(name);
  if (text === undefined) return byDefault;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= MAX_INTEGER))
    throw invalid(name, text, `an integer from ${min} to ${MAX_INTEGER}`);
  return value;
}

function ratioOf(get: Get, name: string): number {
  const text = get(name);
  const value = Number(text ?? 1);
  if (!(value >= 0 && value <= 1)) throw invalid(name, text!, 'a number from 0 to 1');
  return value;
}

const invalid = (name: string, text: string | null, right: string): RequestError =>
  new RequestError('bad-request', `${name}${text === null ? '' : ` is ${text}; it`} must be ${right}`);
