import type { Provider } from '../../model/devices/device.js';
import { SeededDropout } from '../../model/network/dropout.js';
import { tileGeometryOf } from '../../model/network/geometry.js';
import { buildUnet, type UnetConfig } from '../../model/network/unet.js';
import { useOnnxBackend } from '../../model/onnx/register.js';
import { Differentiator } from '../../model/train/differentiator.js';
import { Random } from '../../model/train/random.js';

/** What a process prints: the loss of a network for one batch, and its gradients. */
export interface PrintedGradients {
  readonly loss: number;
  readonly gradients: readonly (readonly number[])[];
}

// A program: `print-gradients.js PROVIDER UNET`, where UNET is a `UnetConfig` as JSON
const [provider, json] = process.argv.slice(2) as [Provider, string];
const unet = JSON.parse(json) as UnetConfig;
const backend = await useOnnxBackend({ provider, threads: 1, maxSessions: 8 });
const model = buildUnet(unet);
const { halo, smallest: side } = tileGeometryOf(model);
const random = new Random(5);
for (const layer of model.layers) if (layer instanceof SeededDropout) layer.draw = () => random.next();
const variables = model.trainableWeights.map((weight) => weight.read() as never);
const differentiator = new Differentiator(model, variables, { unet, loss: 'cross-entropy' });
const count = 2;
const pixels = count * (side - halo.top - halo.bottom) * (side - halo.left - halo.right);
const batch = {
  // of few values, so that pooling finds ties
  pixels: Float32Array.from({ length: count * side ** 2 * unet.inputChannels }, () => random.integer(8) / 8),
  labels: Uint8Array.from({ length: pixels }, () => random.integer(unet.classes)),
  weights: new Float32Array(pixels).fill(1),
};
const { loss, gradients } = await differentiator.compute(
  { ...batch, count, side, channels: unet.inputChannels },
  null,
);
await backend.close();
const printed: PrintedGradients = { loss, gradients: gradients.map((gradient) => [...gradient]) };
process.stdout.write(JSON.stringify(printed));
