import { Device, type DeviceOptions } from '../../server/pipeline/device.js';
import { Segmenter, type SegmenterOptions } from '../../server/pipeline/segmenter.js';

/** A segmenter of this process on a device of its own; `close` ends both. */
export function startSegmenter(
  device: DeviceOptions,
  options: SegmenterOptions,
): { readonly segmenter: Segmenter; readonly close: () => Promise<void> } {
  const started = new Device(device);
  return { segmenter: new Segmenter(started, options), close: () => started.close() };
}
