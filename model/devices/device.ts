/** ONNX Runtime's execution providers that networks run on. */
export const PROVIDERS = ['cpu', 'cuda', 'webgpu'] as const;
export type Provider = (typeof PROVIDERS)[number];

/**
 * How numbers are rounded: as floats of 32 bits; products as floats of 19 bits, summed in 32; or convolutions as floats
 * of 16 bits.
 */
export const PRECISIONS = ['fp32', 'tf32', 'fp16'] as const;
export type Precision = (typeof PRECISIONS)[number];
/** Of the floats in a graph. How a device rounds their products, as `tf32` is, is no matter of the graph. */
export type GraphPrecision = Exclude<Precision, 'tf32'>;

/** Devices of one kind, which share a queue: they are expected to be alike, so that a slide may be computed by all. */
export interface DeviceSet {
  readonly provider: Provider;
  /** Each is run by a process of its own. Empty: the CPU, by threads of this process. */
  readonly indices: readonly number[];
}

/** What a user requests; `auto` is the first that this machine has. */
export type DeviceRequest = 'auto' | DeviceSet;

/** The cores of this machine, used by threads of this process. */
export const OWN_CPU: DeviceSet = { provider: 'cpu', indices: [] };

/** What `--device` takes, for messages. */
export const DEVICE_SYNTAX = 'auto, cpu, cuda, webgpu, or several of a kind, such as cuda:0,cuda:1';

/** Whether images of 8 bits are fed as bytes: to a device with memory of its own, a quarter has to be copied. */
export const takesBytes = (provider: Provider): boolean => provider === 'cuda';

/** The name of one device, such as `cuda:0`. */
export const deviceName = (provider: Provider, index: number): string => `${provider}:${index}`;

/** The names of devices, such as `cpu` or `cuda:0,cuda:1`: what `parseDevices` takes. */
export function nameOfDevices({ provider, indices }: DeviceSet): string {
  return indices.length === 0 ? provider : indices.map((index) => deviceName(provider, index)).join();
}

/**
 * Parses `auto`, a kind of device, or a list of devices of one kind.
 * @throws RangeError with what would be right
 */
export function parseDevices(text: string): DeviceRequest {
  const request = text.trim().toLowerCase();
  if (request === 'auto') return request;
  const parts = request.split(',').map((part) => /^([a-z]+)(?::(\d{1,3}))?$/.exec(part.trim()));
  const kinds = new Set(parts.map((part) => part?.[1]));
  const [kind] = kinds;
  const provider = PROVIDERS.find((known) => known === kind);
  if (!provider) throw new RangeError(`expected ${DEVICE_SYNTAX}`);
  if (kinds.size > 1) throw new RangeError('devices that are used together must be of one kind');
  if (request === 'cpu') return OWN_CPU;
  const indices = parts.map((part) => Number(part![2] ?? 0));
  if (new Set(indices).size < indices.length) throw new RangeError('a device is named twice');
  if (provider === 'webgpu' && indices.some((index) => index > 0)) {
    throw new RangeError("ONNX Runtime uses the system's first WebGPU adapter only: webgpu or webgpu:0");
  }
  return { provider, indices };
}

/** The message of a device's error without its name, for where that is said already. */
export const withoutName = (name: string, message: string): string =>
  message.startsWith(`${name}: `) ? message.slice(name.length + 2) : message;
