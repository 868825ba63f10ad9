import type { Request, Response } from 'express';
import { isStack } from '../../../tiling/planes.js';
import { RequestError } from '../../contract/errors.js';
import { parseParameters } from '../../contract/parameters.js';
import { inferParametersSchema } from '../../contract/queries.js';
import { TENSORS, type TensorName } from '../../contract/schemas/inference.js';
import { withAwaited } from '../awaited-job.js';
import { setCacheStatus } from '../cache-control.js';
import type { RouteDependencies } from '../dependencies.js';
import { disconnection } from '../disconnection.js';
import { createJob } from '../intake.js';
import { asTexts, resolveJobRequest } from '../job-request.js';
import { principalOf } from '../principal.js';
import { receiptHeaders } from '../receipt-headers.js';
import { receiveChunks, withDisconnection } from '../receive-image.js';
import { sendPieces } from '../send.js';
import { BodyMemory } from './body-memory.js';
import { type InferRequest, MAX_VALUES_BYTES, withInferRequest } from './read-request.js';
import { inferResponse, type ResultTensor } from './response.js';
import { tiffHeader } from './tiff-header.js';

/** Requests of the largest size with values in JSON that are read concurrently; half of them of one caller. */
const JSON_REQUESTS = 8;
/** Maximum number of values of a response in JSON: more have to be binary. */
const MAX_JSON_VALUES = 4_000_000;

export interface InferOptions {
  /** Maximum px of an image: larger ones belong to `/v1/jobs`. */
  readonly syncPixels: number;
  /** Aborts when the server no longer waits for requests. */
  readonly ended: AbortSignal;
}

/** Runs inferences: each is a job that its request waits for, as one of `POST /v1/segment` is. */
export class Inferences {
  readonly #memory = new BodyMemory(JSON_REQUESTS * MAX_VALUES_BYTES);

  constructor(
    private readonly dependencies: RouteDependencies,
    private readonly options: InferOptions,
  ) {}

  /**
   * Responds to an inference request.
   * @param model `NAME` or `NAME/VERSION`
   */
  async run(model: string, request: Request, response: Response): Promise<void> {
    const { syncPixels, ended } = this.options;
    const disconnected = disconnection(response, ended);
    try {
      await withInferRequest(request, principalOf(request).id, syncPixels, this.#memory, (read) =>
        this.#segment(model, read, request, response, disconnected),
      );
    } catch (error) {
      throw withDisconnection(request, error);
    }
  }

  async #segment(
    model: string,
    read: InferRequest,
    request: Request,
    response: Response,
    disconnected: AbortSignal,
  ): Promise<void> {
    const { jobs, shelf, idleTimeoutMs } = this.dependencies;
    const { name, version, card } = await shelf.find(model);
    const { head, tensor, values } = read;
    const outputs = outputsOf(read, card.classes.length);
    const { binary_data_output: _, ...given } = head.parameters ?? {};
    const requested = parseParameters(inferParametersSchema, asTexts(given));
    if (isStack(requested)) {
      throw new RequestError(
        'bad-request',
        'a tensor is an image of one plane: stacks are segmented by POST /v1/jobs',
      );
    }
    // a tensor has no names: its channels are those of the model, in its order
    const parameters = { ...requested, channels: requested.channels ?? card.channels?.map((_, i) => i) };
    const work = await resolveJobRequest(
      this.dependencies,
      { ...parameters, model: `${name}/${version}`, simplify: 0 },
      outputs.map((output) => ({ output: output.name, format: 'raw' })),
      principalOf(request),
    );
    const { priority = 'interactive' } = parameters;
    const header = tiffHeader(tensor);
    const job = await createJob(this.dependencies, request, {
      origin: {
        kind: 'sent',
        receive: (...place) =>
          receiveChunks(request, following(header, values), header.length + tensor.bytes, ...place),
      },
      works: [work],
      priority,
      decide: () => ({ request: work, priority, idempotency: null, isAwaited: true }),
    });
    setCacheStatus(response, job.cache);
    await withAwaited(jobs, job, disconnected, async (receipt, stagesMs) => {
      const { id } = job.record;
      const facts = {
        model_name: name,
        model_version: String(version),
        ...(head.id !== undefined && { id: head.id }),
      };
      const tensors = outputs.map((output) => ({
        ...output,
        path: jobs.results.path(id, output.name, 'raw'),
      }));
      const { headBytes, length, pieces } = await inferResponse(facts, tensors);
      const type = headBytes === null ? 'application/json' : 'application/octet-stream';
      response.set({ ...receiptHeaders(receipt, stagesMs), 'Content-Type': type });
      response.set('Content-Length', String(length));
      if (headBytes !== null) response.set('Inference-Header-Content-Length', String(headBytes));
      const onSent = (bytes: number) => jobs.countSent(outputs[0]!.name, bytes);
      await sendPieces(request, response, pieces(), { length, idleTimeoutMs, onSent });
    });
  }
}

type Output = Omit<ResultTensor, 'path'>;

/**
 * The outputs of a request, in its order.
 * @throws RequestError `bad-request` for one that is named twice, `too-large` for too many values in JSON
 */
function outputsOf({ head, tensor }: InferRequest, classes: number): Output[] {
  const { width, height } = tensor;
  const { outputs = [{ name: 'labels' as TensorName, parameters: undefined }], parameters } = head;
  const isBinary = parameters?.binary_data_output === true;
  const names = outputs.map(({ name }) => name);
  const twice = TENSORS.find((name) => names.indexOf(name) !== names.lastIndexOf(name));
  if (twice) throw new RequestError('bad-request', `the output "${twice}" is named twice`);
  const tensors = outputs.map((output): Output => {
    const rest = { name: output.name, isBinary: output.parameters?.binary_data ?? isBinary };
    return output.name === 'labels'
      ? { ...rest, datatype: 'UINT8', shape: [1, height, width] }
      : { ...rest, datatype: 'FP32', shape: [1, height, width, classes] };
  });
  const inJson = tensors.filter((each) => !each.isBinary);
  const values = inJson.reduce((sum, { shape }) => sum + shape.reduce((product, side) => product * side), 0);
  if (values > MAX_JSON_VALUES) {
    throw new RequestError(
      'too-large',
      `the outputs have ${values} values; the limit in JSON is ${MAX_JSON_VALUES}: request them as binary_data`,
    );
  }
  return tensors;
}

/** The header of a file, followed by its values as they arrive. */
async function* following(header: Buffer, values: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield header;
  yield* values;
}
