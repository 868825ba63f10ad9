import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from '../../model/engine/engine.js';
import type { InspectedOnnx, LayersSource } from '../../model/engine/engine-methods.js';
import { ModelChoiceError } from '../../model/errors.js';
import { otherChannels } from '../../model/network/channel-text.js';
import type { Margins } from '../../model/network/geometry.js';
import type { Card } from '../../model/shelf/card.js';
import { LAYERS_FILE, ONNX_FILE, WEIGHTS_FILE } from '../../model/shelf/model-files.js';
import { syncFile } from '../storage/durable.js';

/** What is found of a network, and the digest of its weights. */
export interface WrittenNetwork extends InspectedOnnx {
  readonly weights: Card['weights'];
}

export interface NetworkOptions {
  readonly channels?: number;
  /** Of ONNX alone. */
  readonly approximateSide?: number;
  readonly halo?: Margins;
}

/** A network that is to be imported. */
export interface NetworkSource {
  /** As cards name it. */
  readonly kind: 'onnx' | 'layers';
  /**
   * Writes its files into a model folder, and derives its geometry.
   * @throws ModelChoiceError for other channels than the network takes
   */
  write(folder: string, engine: Engine, options: NetworkOptions): Promise<WrittenNetwork>;
}

const digestOf = (bytes: Uint8Array): Card['weights'] => ({
  sha256: createHash('sha256').update(bytes).digest('hex'),
  bytes: bytes.length,
});

/** The network of an ONNX file, as `readOnnxSource` returns it. */
export function onnxSource(onnx: Uint8Array): NetworkSource {
  return {
    kind: 'onnx',
    async write(folder, engine, { channels, approximateSide, halo }) {
      const path = join(folder, ONNX_FILE);
      await writeFile(path, onnx);
      await syncFile(path);
      const found = await engine.inspectOnnx(path, {
        ...(channels !== undefined && { channels }),
        ...(approximateSide !== undefined && { approximateSide }),
        ...(halo && { halo }),
      });
      return { ...found, weights: digestOf(onnx) };
    },
  };
}

/** A network of Keras's, or TensorFlow.js's, layers. */
export function layersSource(source: LayersSource): NetworkSource {
  return {
    kind: 'layers',
    async write(folder, engine, { channels = source.config.channels }) {
      if (channels !== source.config.channels) {
        throw new ModelChoiceError(otherChannels(source.config.channels, channels));
      }
      const { topology, weights, ...found } = await engine.importLayers(source);
      for (const [name, data] of [
        [LAYERS_FILE, topology],
        [WEIGHTS_FILE, weights],
      ] as const) {
        await writeFile(join(folder, name), data);
        await syncFile(join(folder, name));
      }
      return { ...found, weights: digestOf(weights) };
    },
  };
}
