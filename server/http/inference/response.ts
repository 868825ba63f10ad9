import { stat } from 'node:fs/promises';
import type { Datatype, TensorName } from '../../contract/schemas/inference.js';
import { piecesOfFile } from '../send.js';

/** A result of a job as a tensor: its values are the bytes of a file. */
export interface ResultTensor {
  readonly name: TensorName;
  readonly datatype: Extract<Datatype, 'UINT8' | 'FP32'>;
  readonly shape: readonly number[];
  /** File of its raw values. */
  readonly path: string;
  /** Whether they follow the JSON, instead of being in it. */
  readonly isBinary: boolean;
}

/** An inference response, in pieces that are made as they are sent. */
export interface InferResponse {
  /** Bytes of its JSON where binary values follow; null where it is JSON alone. */
  readonly headBytes: number | null;
  /** Length of the whole response, in bytes. */
  readonly length: number;
  readonly pieces: () => AsyncGenerator<Buffer>;
}

/**
 * Composes an inference response from the files of results. These are read piece by piece, and those in JSON twice:
 * the length of their text is only known after the first pass.
 * @param facts members of the response beside its outputs
 */
export async function inferResponse(
  facts: Readonly<Record<string, unknown>>,
  tensors: readonly ResultTensor[],
): Promise<InferResponse> {
  const binary = tensors.filter(({ isBinary }) => isBinary);
  const sizes = new Map<ResultTensor, number>();
  for (const tensor of binary) sizes.set(tensor, (await stat(tensor.path)).size);
  const json = () => jsonOf(facts, tensors, sizes);
  let headBytes = 0;
  for await (const piece of json()) headBytes += piece.length;
  return {
    headBytes: binary.length === 0 ? null : headBytes,
    length: headBytes + [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0),
    async *pieces() {
      yield* json();
      for (const { path } of binary) yield* piecesOfFile(path);
    },
  };
}

async function* jsonOf(
  facts: Readonly<Record<string, unknown>>,
  tensors: readonly ResultTensor[],
  sizes: ReadonlyMap<ResultTensor, number>,
): AsyncGenerator<Buffer> {
  yield Buffer.from(`${JSON.stringify(facts).slice(0, -1)},"outputs":[`);
  for (const [i, tensor] of tensors.entries()) {
    const { name, datatype, shape, path } = tensor;
    const size = sizes.get(tensor);
    const parameters = size === undefined ? {} : { parameters: { binary_data_size: size } };
    const head = JSON.stringify({ name, datatype, shape, ...parameters }).slice(0, -1);
    yield Buffer.from(`${i === 0 ? '' : ','}${head}`);
    if (size === undefined) yield* valuesOf(path, datatype);
    yield Buffer.from('}');
  }
  yield Buffer.from(']}');
}

/** The values of a file, as the member `data`. */
async function* valuesOf(path: string, datatype: ResultTensor['datatype']): AsyncGenerator<Buffer> {
  let separator = ',"data":[';
  for await (const piece of piecesOfFile(path)) {
    const values = datatype === 'UINT8' ? piece : new Float32Array(new Uint8Array(piece).buffer);
    yield Buffer.from(`${separator}${values.join(',')}`);
    separator = ',';
  }
  yield Buffer.from(']');
}
