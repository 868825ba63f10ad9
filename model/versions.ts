import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** Raised where the graphs that networks are compiled to may round differently than before. */
const GRAPHS = '2';

/** The versions of what computes a mask, for receipts and cards. */
export function engineVersions(): Record<string, string> {
  const version = (name: string): string => (require(`${name}/package.json`) as { version: string }).version;
  return {
    // from dist/model/
    unseam: version('../..'),
    node: process.versions.node,
    'onnxruntime-node': version('onnxruntime-node'),
    '@tensorflow/tfjs-core': version('@tensorflow/tfjs-core'),
    graphs: GRAPHS,
  };
}
