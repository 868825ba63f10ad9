import type * as tf from '@tensorflow/tfjs-core';
import type { GeometryNode } from '../network/axis/walk.js';
import { type Constant, sizeOf } from './constant.js';

/** The id of the map that is the graph's input. */
export const INPUT_ID = 0;

/** What a dimension of an image is, wherever ONNX has it. */
export type Axis = 'n' | 'c' | 'h' | 'w';

/**
 * A feature map. It is computed as TensorFlow.js has images, `[n, h, w, channels]`: what ONNX transposes is the order
 * in which it names the dimensions, and nothing else.
 */
export interface ImageValue {
  readonly kind: 'image';
  readonly id: number;
  /** In ONNX's order, such as `n, c, h, w`. A map of one channel may be without `c`. */
  readonly axes: readonly Axis[];
  readonly channels: number;
  /** Rows and columns, for the image that the graph was read with. */
  readonly sizes: readonly [height: number, width: number];
}

/** A tensor that is not an image any more: whatever reads it mixes positions, and is refused. */
export interface MixedValue {
  readonly kind: 'mixed';
  readonly dims: readonly number[];
  /** The map that it was made of, and the node that did so. */
  readonly image: ImageValue;
  readonly by: string;
  /** What each dimension is, where one of them has copies. */
  readonly parts?: readonly Part[];
}

/** A dimension of length 1; one of the image; or copies of the px of its rows, or of its columns. */
export type Part = null | Axis | { readonly of: 'h' | 'w'; readonly times: number };

export type GraphValue = { readonly kind: 'constant'; readonly constant: Constant } | ImageValue | MixedValue;

/** The shape of an image in ONNX's order. */
export function dimsOf({ axes, channels, sizes }: ImageValue): number[] {
  const lengths = { n: 1, c: channels, h: sizes[0], w: sizes[1] };
  return axes.map((axis) => lengths[axis]);
}

/** Whether a shape is that of an image, but for dimensions of length 1. */
export function isSpaced(dims: readonly number[], image: ImageValue): boolean {
  const long = (list: readonly number[]) => list.filter((n) => n !== 1).join();
  return long(dims) === long(dimsOf(image));
}

/** Records an operator on images `[n, h, w, channels]`. */
export type Compute = (images: readonly tf.Tensor4D[], weights: readonly tf.Tensor[]) => tf.Tensor4D;

/** A weight as it is computed with, in TensorFlow.js's order. */
export interface Weight {
  readonly shape: readonly number[];
  /** The constant that its values are of. */
  readonly of: Constant;
  /** Its values, which are rearranged when they are needed: a graph is read for several sizes. */
  readonly read: () => Float32Array;
  /** Of the network, where it is stored with zeros between its numbers. Default: as many as it has values. */
  readonly parameters?: number;
}

export const parametersOf = (weights: readonly Weight[]): number =>
  weights.reduce((sum, { shape, parameters }) => sum + (parameters ?? sizeOf(shape)), 0);

/** An operator of the network. */
export interface ImportedNode extends GeometryNode {
  readonly opType: string;
  readonly channels: number;
  readonly sizes: readonly [height: number, width: number];
  readonly weights: readonly Weight[];
  /** What it is beside its weights: equal for every size of the image, or tiles would be computed otherwise than it. */
  readonly parameters: string;
  readonly compute: Compute;
  /** Set on what a network may end in, and is left out where it does. */
  readonly ending?: Ending;
  /** Why tiles of it differ from one pass: it is computed where one tile size is enough. */
  readonly inexact?: string;
}

export type Ending = 'softmax' | 'sigmoid' | 'argmax';
