import type { Model, ModelList } from '../../client/index.js';

/** Shows the models with their cards and the curves of their training, and the unusable ones with the reason. */
export function showModels(
  into: HTMLElement,
  models: readonly Model[],
  unreadable: ModelList['unreadable'],
): void {
  into.replaceChildren(
    ...models.map((card) => {
      const article = document.createElement('article');
      const title = Object.assign(document.createElement('h2'), {
        textContent: `${card.name}, version ${card.version}`,
      });
      const text = Object.assign(document.createElement('p'), { textContent: card.description });
      const table = document.createElement('table');
      const rows: [string, string][] = [
        ['Classes', card.classes.map(({ name }) => name).join(', ')],
        ['Input', inputOf(card)],
        ['Pixel size', card.micronsPerPixel === null ? 'not stated' : `${card.micronsPerPixel} µm`],
        ['Parameters', card.architecture.parameters.toLocaleString('en')],
        ['Halo', `${card.architecture.halo.top} px`],
        ['Data', `${card.data.description} (${card.data.terms})`],
        ...(card.quantised.length > 0
          ? [['Quantised', card.quantised.join(', ')] satisfies [string, string]]
          : []),
        ...Object.entries(card.scores).map(([split, scores]): [string, string] => [
          `Scores, ${split}`,
          Object.entries(scores)
            .map(([name, value]) => `${name} ${value.toFixed(3)}`)
            .join(', '),
        ]),
      ];
      for (const [name, value] of rows) {
        const row = table.insertRow();
        row.append(Object.assign(document.createElement('th'), { scope: 'row', textContent: name }));
        row.append(Object.assign(document.createElement('td'), { textContent: value }));
      }
      article.append(title, text, table);
      if (card.curves !== null) {
        const alt = `curves of the training of ${card.name}`;
        article.append(
          Object.assign(document.createElement('img'), { src: card.curves, alt, loading: 'lazy' }),
        );
      }
      return article;
    }),
    ...unreadable.map(({ name, version, reason }) => {
      const article = document.createElement('article');
      const title = Object.assign(document.createElement('h2'), {
        textContent: `${name}, version ${version}`,
      });
      const text = Object.assign(document.createElement('p'), { textContent: `Cannot be used: ${reason}` });
      article.append(title, text);
      return article;
    }),
  );
}

/** The channels that a model takes. */
function inputOf({ channels, inputChannels }: Model): string {
  if (channels !== undefined) return channels.map(({ name }) => name).join(', ');
  return { 1: 'gray', 3: 'RGB' }[inputChannels] ?? `${inputChannels} channels`;
}
