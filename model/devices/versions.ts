import { createRequire } from 'node:module';
import type { TensorFlowInstallation } from '../tensorflow/installation.js';

const require = createRequire(import.meta.url);

/** Raised where the graphs that networks are compiled to may round differently than before. */
const GRAPHS = '2';

/** TensorFlow and its addon, by their versions. */
export interface TensorFlowVersions extends Pick<TensorFlowInstallation, 'name' | 'version'> {
  /** Of TensorFlow; null where it is not known, since it is not loaded. */
  readonly library: string | null;
}

/**
 * The versions of what computes a mask, for receipts and cards.
 * @param tensorflow null where ONNX Runtime runs the networks
 */
export function engineVersions(tensorflow: TensorFlowVersions | null = null): Record<string, string> {
  const version = (name: string): string => (require(`${name}/package.json`) as { version: string }).version;
  return {
    // from dist/model/devices/
    unseam: version('../../..'),
    node: process.versions.node,
    ...(tensorflow ? versionsOf(tensorflow) : { 'onnxruntime-node': version('onnxruntime-node') }),
    '@tensorflow/tfjs-core': version('@tensorflow/tfjs-core'),
    ...(tensorflow === null && { graphs: GRAPHS }),
  };
}

const versionsOf = ({ name, version, library }: TensorFlowVersions): Record<string, string> => {
  return { [name]: version, ...(library !== null && { tensorflow: library }) };
};
