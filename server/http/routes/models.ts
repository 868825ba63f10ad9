import { readFile } from 'node:fs/promises';
import type { Card } from '../../../model/shelf/card.js';
import type { ModelShelf } from '../../../model/shelf/shelf.js';
import { RequestError } from '../../contract/errors.js';
import type { Operate } from '../operate.js';

/** The pictures of curves are SVG with styles of their own. */
const CURVES_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/** `/v1/models`: the models with their cards and the curves of their training. */
export function modelRoutes(operate: Operate, shelf: ModelShelf): void {
  const view = async (card: Card) => {
    const curves = await shelf.curvesOf(card);
    const quantised = await shelf.quantised(card.name);
    return {
      ...card,
      curves: curves && `/v1/models/${encodeURIComponent(card.name)}/curves.svg`,
      quantised: quantised.map(({ name, version }) => `${name}/${version}`),
    };
  };

  operate('listModels', async (_request, response) => {
    const { cards, unreadable } = await shelf.survey();
    response.json({ models: await Promise.all(cards.map(view)), unreadable });
  });

  operate('getModel', async (request, response) => {
    const { card } = await shelf.find(request.params.name);
    response.json(await view(card));
  });

  operate('getCurves', async (request, response) => {
    const curves = await shelf.curvesOf(await shelf.find(request.params.name));
    if (curves === null) throw new RequestError('not-found', 'this model has no curves of its training');
    response
      .type('svg')
      .set('Content-Security-Policy', CURVES_POLICY)
      .send(await readFile(curves));
  });
}
