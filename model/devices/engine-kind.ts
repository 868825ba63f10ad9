/** What runs networks: ONNX Runtime, or TensorFlow's own library where that is set up; see `docs/engines.md`. */
export const ENGINES = ['onnx', 'tensorflow'] as const;
export type EngineKind = (typeof ENGINES)[number];
