import type { LayerFacts } from '../../model/network/layers.js';
import { escapeXml } from './charts.js';

/** A feature map, drawn as a block: its height shows the side of the map, its width the number of channels. */
interface Block {
  readonly name: string;
  readonly channels: number;
  readonly side: number;
  /** Left, top, width and height in the picture, in px. */
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const MAX_HEIGHT = 150;
const LEVEL_PX = 190 * 0.72;
const GAP_PX = 34;
const LEFT_PX = 24;
const TOP_PX = 70;
const BOTTOM_PX = 60;
const LEGEND_PX = 150;

/** How the layer that makes a feature map is drawn. */
const ARROWS: Record<string, { readonly colour: string; readonly text: string }> = {
  Conv2D: { colour: '#3182bd', text: 'convolution' },
  MaxPooling2D: { colour: '#c0392b', text: '2×2 pooling' },
  Conv2DTranspose: { colour: '#31a354', text: '2×2 up-convolution' },
  UpSampling2D: { colour: '#31a354', text: 'doubled pixels' },
  Concatenate: { colour: '#888888', text: 'crop and concatenate' },
  Resizing: { colour: '#756bb1', text: 'resizing' },
};

/** Draws a U-Net as its paper does: feature maps as blocks, levels below each other, skip connections across. */
export function netSvg(layers: readonly LayerFacts[], title: string): string {
  const drawn = layers.filter(({ kind }) => kind === 'InputLayer' || kind in ARROWS);
  const blocks = layOut(drawn);
  const right = blocks.at(-1)!.x + blocks.at(-1)!.width + GAP_PX;
  const depth = Math.max(...drawn.map(({ name }) => levelOf(drawn, name)));
  const bottom = TOP_PX + depth * LEVEL_PX + MAX_HEIGHT + BOTTOM_PX;
  const body = [...arrowsOf(layers, drawn, blocks), ...blocks.map(blockSvg), ...legendOf(drawn, bottom)];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${px(right)} ${px(bottom)}" width="${px(right)}" height="${px(bottom)}" font-family="system-ui, sans-serif" font-size="11">
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="5" markerHeight="5" orient="auto"><path d="M0 0 8 4 0 8z" fill="#555"/></marker></defs>
<rect width="100%" height="100%" fill="#fff"/>
<text x="${LEFT_PX}" y="28" font-size="15" font-weight="600">${escapeXml(title)}</text>
${body.join('\n')}
</svg>
`;
}

const px = (n: number): string => n.toFixed(1);

/** Places the feature maps from left to right, each at its level. */
function layOut(drawn: readonly LayerFacts[]): Block[] {
  const top = drawn[0]!.shape[0];
  let x = LEFT_PX;
  return drawn.map(({ name, shape: [side, , channels] }) => {
    const width = Math.max(3, Math.min(46, 4 * Math.sqrt(channels) - 1));
    const height = Math.max(8, (MAX_HEIGHT * side) / top);
    const y = TOP_PX + levelOf(drawn, name) * LEVEL_PX + (MAX_HEIGHT - height) / 2;
    const block = { name, channels, side, x, y, width, height };
    x += width + GAP_PX;
    return block;
  });
}

function blockSvg({ x, y, width, height, channels, side }: Block): string {
  const middle = x + width / 2;
  return (
    `<rect x="${px(x)}" y="${px(y)}" width="${px(width)}" height="${px(height)}" fill="#eef3f8" stroke="#34495e"/>` +
    `<text x="${px(middle)}" y="${px(y - 5)}" text-anchor="middle">${channels}</text>` +
    `<text x="${px(middle)}" y="${px(y + height + 13)}" text-anchor="middle" fill="#666">${side}²</text>`
  );
}

function arrowsOf(
  layers: readonly LayerFacts[],
  drawn: readonly LayerFacts[],
  blocks: readonly Block[],
): string[] {
  const placed = new Map(blocks.map((block) => [block.name, block]));
  return drawn.flatMap(({ name, kind, inputs }) => {
    const to = placed.get(name)!;
    return inputs.map((input) => {
      const from = placed.get(drawnSource(layers, placed, input));
      if (!from) return '';
      const { colour } = ARROWS[kind]!;
      const isSkip = kind === 'Concatenate' && to.x - from.x > 2 * GAP_PX + 60;
      const [x1, y1] = [from.x + from.width, from.y + from.height / 2];
      const y2 = isSkip ? y1 : to.y + to.height / 2;
      const dash = isSkip ? ' stroke-dasharray="5 4"' : '';
      return `<line x1="${px(x1)}" y1="${px(y1)}" x2="${px(to.x)}" y2="${px(y2)}" stroke="${colour}" stroke-width="2"${dash} marker-end="url(#head)"/>`;
    });
  });
}

/** One entry for each kind of layer that occurs. */
function legendOf(drawn: readonly LayerFacts[], bottom: number): string[] {
  const kinds = [...new Set(drawn.map(({ kind }) => kind))].filter((kind) => kind in ARROWS);
  return kinds.map((kind, i) => {
    const { colour, text } = ARROWS[kind]!;
    const left = LEFT_PX + i * LEGEND_PX;
    const y = bottom - 20;
    return `<line x1="${left}" y1="${y}" x2="${left + 22}" y2="${y}" stroke="${colour}" stroke-width="3"/><text x="${left + 28}" y="${bottom - 16}">${text}</text>`;
  });
}

/** The level of a layer: poolings up to it, minus up-convolutions. */
function levelOf(drawn: readonly LayerFacts[], name: string): number {
  let level = 0;
  for (const { name: other, kind } of drawn) {
    if (kind === 'MaxPooling2D') level++;
    if (kind === 'Conv2DTranspose' || kind === 'UpSampling2D') level--;
    if (other === name) break;
  }
  return level;
}

/** The drawn layer that feeds one that is not drawn, such as an activation or a crop. */
function drawnSource(
  layers: readonly LayerFacts[],
  placed: ReadonlyMap<string, unknown>,
  name: string,
): string {
  let at = name;
  while (!placed.has(at)) {
    const layer = layers.find((candidate) => candidate.name === at);
    if (!layer || layer.inputs.length === 0) return at;
    at = layer.inputs[0]!;
  }
  return at;
}
