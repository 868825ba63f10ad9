import type { Response } from 'express';
import type { Card } from '../../../model/shelf/card.js';
import { EXTENSIONS, INPUT, type InferenceModel } from '../../contract/schemas/inference.js';
import type { RouteDependencies } from '../dependencies.js';
import { Inferences, type InferOptions } from '../inference/infer.js';
import type { Operate } from '../operate.js';

/** `/v2/health`: the probes of the Open Inference Protocol. */
export function inferenceProbes(operate: Operate, unready: () => string | null): void {
  operate('isInferenceLive', (_request, response) => {
    response.json({ live: true });
  });
  operate('isInferenceReady', (_request, response) => {
    const ready = unready() === null;
    response.status(ready ? 200 : 503).json({ ready });
  });
}

/** `/v2`: the Open Inference Protocol, version 2, for clients of inference servers. An image is one tensor. */
export function inferenceRoutes(
  operate: Operate,
  dependencies: RouteDependencies,
  { version, ...options }: InferOptions & { readonly version: string },
): void {
  const { shelf } = dependencies;
  const inferences = new Inferences(dependencies, options);

  operate('getInferenceServer', (_request, response) => {
    response.json({ name: 'unseam', version, extensions: EXTENSIONS });
  });
  const describe = async (card: Card): Promise<InferenceModel> => {
    const quantised = typeof card.version === 'string' ? [] : await shelf.quantised(card.name);
    return modelOf(
      card,
      [card, ...quantised].map((each) => String(each.version)),
    );
  };
  operate('listInferenceModels', async (_request, response) => {
    const { cards } = await shelf.survey();
    response.json({ models: await Promise.all(cards.map(describe)) });
  });
  operate('indexInferenceModels', async (_request, response) => {
    const { cards, unreadable } = await shelf.survey();
    const ready = cards.map(({ name, version }) => ({
      name,
      version: String(version),
      state: 'READY',
      reason: '',
    }));
    const others = unreadable.map(({ name, version, reason }) => ({
      name,
      version: String(version),
      state: 'UNAVAILABLE',
      reason,
    }));
    response.json([...ready, ...others]);
  });

  const sendModel = async (model: string, response: Response) => {
    response.json(await describe((await shelf.find(model)).card));
  };
  const sendReady = async (model: string, response: Response) => {
    const { name } = await shelf.find(model);
    response.json({ name, ready: true });
  };
  operate('getInferenceModel', ({ params: { name } }, response) => sendModel(name, response));
  operate('isInferenceModelReady', ({ params: { name } }, response) => sendReady(name, response));
  operate('infer', (request, response) => inferences.run(request.params.name, request, response));
  operate('getInferenceModelVersion', ({ params }, response) => sendModel(versionOf(params), response));
  operate('isInferenceModelVersionReady', ({ params }, response) => sendReady(versionOf(params), response));
  operate('inferVersion', (request, response) =>
    inferences.run(versionOf(request.params), request, response),
  );
}

const versionOf = ({ name, version }: { readonly name: string; readonly version: string }): string =>
  `${name}/${version}`;

function modelOf({ name, inputChannels, classes }: Card, versions: readonly string[]): InferenceModel {
  return {
    name,
    versions: [...versions],
    platform: 'unseam',
    inputs: [{ name: INPUT, datatype: 'UINT8', shape: [1, -1, -1, inputChannels] }],
    outputs: [
      { name: 'labels', datatype: 'UINT8', shape: [1, -1, -1] },
      { name: 'probabilities', datatype: 'FP32', shape: [1, -1, -1, classes.length] },
    ],
  };
}
