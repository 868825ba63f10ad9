import type { Card } from './card.js';

/** What the memory of a session depends on of a model. */
export type ModelSize = Pick<Card, 'architecture' | 'weights'>;

/** A session without its weights: graph, kernels, and what its creation leaves in the allocator. */
const SESSION_BYTES = 8 << 20;
/** Copies of the weights while a session is created: the encoded graph, ONNX Runtime's, and those that it packs. */
const SESSION_COPIES = 4;
/** Copies of the weights of a loaded model: those that were read, and those of TensorFlow.js. */
const MODEL_COPIES = 2;
/** Activations in bytes per px of a batch and per channel of the first level (measured: 15 to 20, whatever the batch). */
const ACTIVATION_BYTES = 22;
/** The same for the pixels and the values of a batch, as floats. */
const VALUES_BYTES = 48;
/** A lane beside the first: its thread, with the libraries that it loads, and its heap. */
export const LANE_BYTES = 64 << 20;

/** Memory of a session that has run nothing, in bytes: an estimate from measurements on a CPU. */
export const sessionBytes = ({ weights }: ModelSize): number =>
  SESSION_BYTES + SESSION_COPIES * weights.bytes;

/** Memory of a loaded model in one lane, in bytes, without its sessions. */
export const modelBytes = ({ weights }: ModelSize): number => MODEL_COPIES * weights.bytes;

/** Memory in bytes that a session takes for a batch of this many px: its arena, which is kept for the next batch. */
export const arenaBytes = ({ architecture }: ModelSize, px: number): number =>
  px * (ACTIVATION_BYTES * architecture.channels[0]! + VALUES_BYTES);
