import { type Card, featuresOf } from '../shelf/card.js';

/** What the memory of a session depends on of a model. Default of its channels: at most RGB. */
export type ModelSize = Pick<Card, 'architecture' | 'weights'> & Partial<Pick<Card, 'inputChannels'>>;

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
/** The same for each channel beyond RGB: two copies of its floats. */
const CHANNEL_BYTES = 8;
/** Copies of the weights in a GPU's memory: those that kernels read, and those that they pack. */
const GPU_COPIES = 2;
/** The share of a GPU's memory that models may take: its driver, libraries, their workspaces and other processes have the rest. */
const GPU_SHARE = 0.7;
/** A lane beside the first: its thread, with the libraries that it loads, and its heap. */
export const LANE_BYTES = 64 << 20;

/** Memory of a session that has run nothing, in bytes: an estimate from measurements on a CPU. */
export const sessionBytes = ({ weights }: ModelSize): number =>
  SESSION_BYTES + SESSION_COPIES * weights.bytes;

/** Memory of a loaded model in one lane, in bytes, without its sessions. */
export const modelBytes = ({ weights }: ModelSize): number => MODEL_COPIES * weights.bytes;

/** Memory of a session in its GPU, in bytes, without what it runs in. */
export const gpuSessionBytes = ({ weights }: ModelSize): number => SESSION_BYTES + GPU_COPIES * weights.bytes;

/** Bytes of a GPU's memory that models may take; infinite where it is not known: batches that are too large are halved. */
export const gpuBytesOf = (memoryBytes: number | null): number =>
  memoryBytes === null ? Number.POSITIVE_INFINITY : GPU_SHARE * memoryBytes;

/** Memory in bytes of the pixels and the values of a batch, where it is computed in another memory. */
export const batchBytes = ({ inputChannels = 3 }: Pick<ModelSize, 'inputChannels'>, px: number): number =>
  px * (VALUES_BYTES + CHANNEL_BYTES * Math.max(0, inputChannels - 3));

/** Memory in bytes that a session takes for a batch of this many px: its arena, which is kept for the next batch. */
export const arenaBytes = (model: ModelSize, px: number): number =>
  px * ACTIVATION_BYTES * featuresOf(model) + batchBytes(model, px);
