import type { NodeProto } from '../proto.js';

/**
 * What almost all of the time is spent on: always in 16 bits. CUDA and the CPU add the products in 32 bits; WebGPU adds
 * them in 16, which its self-test shows as a difference.
 */
export const HALF = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul']);

/**
 * Always in 32 bits: functions that 16 bits have too small a range or too few digits for, means and variances of many
 * pixels, and what a graph returns.
 */
export const FULL = new Set([
  ...['Exp', 'Log', 'Pow', 'Sqrt', 'Reciprocal', 'Softmax', 'Sigmoid', 'Softplus', 'Tanh'],
  ...['Erf', 'Elu', 'Celu', 'Selu', 'Mish', 'HardSwish', 'Softsign', 'ThresholdedRelu', 'Sin', 'Cos', 'Atan'],
  ...['InstanceNormalization', 'GroupNormalization', 'LayerNormalization'],
  ...['BatchNormalization', 'ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceProd'],
  ...['Cast', 'Identity'],
]);

/**
 * Decisions of a frozen network, and other functions of which an infinite number, or NaN, has a finite value. They are
 * computed in 32 bits, which changes no decision and costs little, since few networks have any; but so what they read has
 * left the 16 bits, and is tested for overflow. In training, the gradient of pooling compares, too.
 */
export const DECISIONS = new Set([
  ...['ArgMax', 'ArgMin', 'Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual'],
  ...['Clip', 'Max', 'Min', 'HardSigmoid', 'Sign', 'Div'],
]);

/** Operators that only move values, and so may as well move rounded ones. */
export const MOVES = new Set([
  ...['Reshape', 'Transpose', 'Einsum', 'Slice', 'Pad', 'Concat', 'Gather', 'Tile', 'Unsqueeze', 'Squeeze'],
  ...['Resize', 'DepthToSpace'],
]);

/** The inputs of a node whose element type its output has: not the scales of a Resize. */
export function dataInputs({ opType, input }: NodeProto): readonly string[] {
  return opType === 'Resize' ? input.slice(0, 1) : input;
}
