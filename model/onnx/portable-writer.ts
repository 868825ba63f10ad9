import { type Attributes, NCHWC } from './proto.js';
import { GraphWriter } from './writer.js';

/**
 * Writes the graph of a frozen network with ONNX's own operators alone, so that any program runs it: each convolution in
 * blocks of channels as a plain one, in NCHW. What is computed stays the same, sum by sum, since blocks decide as before
 * which convolutions become one. Where ONNX Runtime has blocks of this length, it brings these convolutions into blocks
 * itself, and computes the same bits.
 */
export class PortableWriter extends GraphWriter {
  /** @param block channels in a block of the graph that this one is to agree with; null for each operator as it is recorded */
  constructor(block: number | null) {
    super(block, true);
  }

  override get isPortable(): boolean {
    return true;
  }

  override get run(): number {
    return 1; // an image in blocks of one channel is one in NCHW
  }

  override unblock(name: string): string {
    return name;
  }

  override cutBlock(name: string, channels: number): string {
    return super.op('Slice', [name, this.ints([0]), this.ints([channels]), this.ints([1])]);
  }

  override op(opType: string, inputs: readonly string[], attributes: Attributes = {}): string {
    switch (opType) {
      case `${NCHWC}:ReorderInput`:
        return inputs[0]!;
      case `${NCHWC}:Conv`:
        return this.#convolve(inputs, attributes);
      case `${NCHWC}:MaxPool`:
        return super.op('MaxPool', inputs, attributes);
      case `${NCHWC}:Upsample`:
        return this.#enlarge(inputs[0]!, attributes.scales as readonly number[]);
      default:
        return super.op(opType, inputs, attributes);
    }
  }

  #convolve([x, filter, bias, sum]: readonly string[], { activation, ...geometry }: Attributes): string {
    const weights = bias ? [filter!, bias] : [filter!];
    const products = super.op('Conv', [x!, ...weights], geometry);
    const total = sum ? super.op('Add', [products, sum]) : products;
    return activation ? super.op('Relu', [total]) : total;
  }

  #enlarge(x: string, scales: readonly number[]): string {
    const factors = this.once(`scales ${scales}`, () =>
      this.initializer('float32', [scales.length], Float32Array.from(scales)),
    );
    const nearest = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' };
    return super.op('Resize', [x, '', factors], nearest);
  }
}
