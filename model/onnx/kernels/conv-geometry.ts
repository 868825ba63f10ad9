/** The geometry of one convolution, as the attributes of ONNX's convolutions. */
export type ConvGeometry = {
  readonly kernel_shape: readonly [height: number, width: number];
  readonly strides: readonly [down: number, across: number];
  readonly dilations: readonly [down: number, across: number];
  /** Top, left, bottom, right. */
  readonly pads: readonly [number, number, number, number];
};

/** Whether windows lie side by side, so that each pixel of the smaller map has a block of the larger one to itself. */
export function isBlockwise({ kernel_shape: [kh, kw], strides, pads, dilations }: ConvGeometry): boolean {
  const square = kh === kw && strides[0] === kh && strides[1] === kw && kh > 1;
  return square && pads.every((p) => p === 0) && dilations.every((d) => d === 1);
}

/** The sizes of a convolution's image, of its output and of a batch of them. */
export interface ConvSizes {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly inChannels: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly outChannels: number;
}
