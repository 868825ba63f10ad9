import type { Request } from 'express';
import { formatBytes } from '../../contract/byte-size.js';
import { RequestError } from '../../contract/errors.js';
import { parseParameters } from '../../contract/parameters.js';
import { type InferHead, inferHeadSchema } from '../../contract/schemas/inference.js';
import { chunksOf } from '../receive-image.js';
import type { BodyMemory } from './body-memory.js';
import { bytesOfValues, type ImageTensor, tensorOf } from './tensor.js';

/** Maximum size of the JSON in front of binary values, in bytes. */
const MAX_HEAD_BYTES = 64 * 1024;
/** Maximum size of JSON with values in it, in bytes: more have to be binary. */
export const MAX_VALUES_BYTES = 4 * 2 ** 20;

const HEAD_LENGTH = 'Inference-Header-Content-Length';

/** An inference request whose JSON was read; its values come with the body, or were in the JSON. */
export interface InferRequest {
  readonly head: InferHead;
  readonly tensor: ImageTensor;
  /** The bytes of the tensor, which can be read once. Throws where there are more or fewer than announced. */
  readonly values: AsyncIterable<Buffer>;
}

/**
 * Reads the JSON of an inference request, and checks what it announces before anything else is received.
 *
 * @param maxPixels limit of the image, in px
 * @param owner of the request, `Principal.id`
 * @param memory that JSON with values in it is held in, until they have been read
 * @throws RequestError `bad-request`, `too-large`, `busy`; ImageTooLargeError
 */
export async function withInferRequest<Result>(
  request: Request,
  owner: string,
  maxPixels: number,
  memory: BodyMemory,
  use: (read: InferRequest) => Promise<Result>,
): Promise<Result> {
  const encoding = request.get('Content-Encoding') ?? 'identity';
  if (encoding !== 'identity')
    throw new RequestError(
      'bad-request',
      `the body is in ${encoding.slice(0, 50)}: send it without compression`,
    );
  const headLength = request.get(HEAD_LENGTH);
  const length = request.headers['content-length'];
  const chunks = chunksOf(request);
  if (headLength !== undefined) {
    const { bytes, rest } = await take(chunks, headBytes(headLength));
    const head = parseHead(bytes);
    const tensor = tensorOf(head.inputs[0]!, maxPixels);
    checkBinary(head, tensor, length === undefined ? null : Number(length) - bytes.length);
    return use({ head, tensor, values: exactly(rest, chunks, tensor.bytes) });
  }
  const announced = length === undefined ? MAX_VALUES_BYTES : Number(length);
  if (announced > MAX_VALUES_BYTES) {
    throw new RequestError(
      'too-large',
      `the JSON has ${announced} bytes; the limit is ${MAX_VALUES_BYTES}: send the values as binary data`,
    );
  }
  return memory.hold(owner, announced, async (release) => use(await readValues(chunks, maxPixels, release)));
}

/** Reads a request with values in JSON. The result holds on to neither the text nor the parsed values. */
async function readValues(
  chunks: AsyncIterableIterator<Buffer>,
  maxPixels: number,
  onRead: () => void,
): Promise<InferRequest> {
  const { inputs, ...head } = parseHead(await all(chunks, MAX_VALUES_BYTES));
  const { data, ...input } = inputs[0]!;
  const tensor = tensorOf(input, maxPixels);
  if (data === undefined)
    throw new RequestError(
      'bad-request',
      `the input has no data, and there is no ${HEAD_LENGTH} of binary data`,
    );
  const values = once(bytesOfValues(data, tensor), onRead);
  return { head: { ...head, inputs: [input] }, tensor, values };
}

function headBytes(text: string): number {
  const bytes = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (bytes >= 1 && bytes <= MAX_HEAD_BYTES) return bytes;
  throw new RequestError('bad-request', `${HEAD_LENGTH} must be a number from 1 to ${MAX_HEAD_BYTES}`);
}

function parseHead(bytes: Buffer): InferHead {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new RequestError(
      'bad-request',
      `the JSON cannot be read: ${(error as Error).message.slice(0, 200)}`,
    );
  }
  return parseParameters(inferHeadSchema, json);
}

/** @param announced the bytes behind the JSON; null if unknown */
function checkBinary({ inputs }: InferHead, { bytes }: ImageTensor, announced: number | null): void {
  const { parameters, data } = inputs[0]!;
  const size = parameters?.binary_data_size;
  if (size === undefined || data !== undefined)
    throw new RequestError('bad-request', 'the input needs binary_data_size, and no data, behind this JSON');
  for (const [what, found] of [
    ['binary_data_size is', size],
    ['the bytes behind the JSON are', announced ?? bytes],
  ] as const) {
    if (found !== bytes)
      throw new RequestError('bad-request', `${what} ${found}; a tensor of this shape and type has ${bytes}`);
  }
}

/** Takes the first bytes of a body; `rest` is what else came with them. */
async function take(
  chunks: AsyncIterableIterator<Buffer>,
  length: number,
): Promise<{ readonly bytes: Buffer; readonly rest: Buffer }> {
  const pieces: Buffer[] = [];
  let received = 0;
  while (received < length) {
    const { done, value } = await chunks.next();
    if (done) throw new RequestError('bad-request', `the body has ${received} bytes; its JSON has ${length}`);
    pieces.push(value);
    received += value.length;
  }
  const together = Buffer.concat(pieces);
  return { bytes: together.subarray(0, length), rest: together.subarray(length) };
}

async function all(chunks: AsyncIterableIterator<Buffer>, maxBytes: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let received = 0;
  for await (const chunk of chunks) {
    received += chunk.length;
    if (received > maxBytes) {
      throw new RequestError(
        'too-large',
        `the JSON has more than ${formatBytes(maxBytes)}: send the values as binary data`,
      );
    }
    pieces.push(chunk);
  }
  return Buffer.concat(pieces);
}

async function* once(bytes: Buffer, onRead: () => void): AsyncGenerator<Buffer> {
  yield bytes;
  onRead();
}

/** The bytes behind the JSON. */
async function* exactly(
  first: Buffer,
  chunks: AsyncIterableIterator<Buffer>,
  bytes: number,
): AsyncGenerator<Buffer> {
  let received = 0;
  const count = (chunk: Buffer): Buffer => {
    received += chunk.length;
    if (received > bytes)
      throw new RequestError('bad-request', `more than ${bytes} bytes are behind the JSON`);
    return chunk;
  };
  if (first.length > 0) yield count(first);
  for await (const chunk of chunks) yield count(chunk);
  if (received < bytes)
    throw new RequestError('bad-request', `${received} bytes are behind the JSON; the tensor has ${bytes}`);
}
