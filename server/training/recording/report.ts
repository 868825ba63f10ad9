import type { Card } from '../../../model/shelf/card.js';
import { haloText } from '../../../tiling/plan.js';
import { escapeXml } from '../../svg/charts.js';
import type { RunConfig } from '../run-config.js';

export interface ReportParts {
  readonly card: Card;
  readonly config: RunConfig;
  /** SVG. */
  readonly curves: string;
  /** Sheets with rows of image, labels, prediction and error. */
  readonly sheets: readonly { readonly title: string; readonly png: Buffer }[];
}

/** The report of a training as one self-contained page: no scripts, and nothing loaded from elsewhere. */
export function reportHtml({ card, config, curves, sheets }: ReportParts): string {
  const { name, version, description } = card;
  const sections = [
    section('Scores', scoreTable(card.scores)),
    section('Curves', `<figure>${curves}</figure>`),
    ...sheets.map(({ title, png }) => section(capitalise(title), sheetHtml(title, png))),
    section('Network', table(networkRows(card.architecture))),
    section('Classes', classTable(card.classes)),
    section('Data', table(dataRows(card.data))),
    section('Settings', table(flatten(config.settings))),
    section('Provenance', table(provenanceRows(card))),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeXml(name)} ${version}: training report</title>
<style>${STYLE}</style>
</head>
<body>
<header><h1>${escapeXml(name)} <small>version ${version}</small></h1><p>${escapeXml(description)}</p></header>
<main>
${sections.join('\n')}
</main>
</body>
</html>
`;
}

const STYLE = `
:root { color-scheme: light; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; color: #222; background: #f6f6f4; }
header, main { max-width: 1100px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 28px; }
h1 { margin: 0; font-size: 26px; } h1 small { font-weight: 400; color: #777; }
h2 { margin: 0 0 10px; font-size: 17px; }
section { background: #fff; border: 1px solid #e4e4e0; border-radius: 8px; padding: 18px 20px; margin: 18px 0; overflow-x: auto; }
table { border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: 3px 18px 3px 0; }
th { font-weight: 500; color: #666; white-space: nowrap; }
td { overflow-wrap: anywhere; }
th.number, td.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 0; } figure svg, figure img { display: block; max-width: 100%; height: auto; }
figcaption { display: grid; grid-template-columns: repeat(4, 1fr); color: #666; }
figure.sheet { width: fit-content; }
.swatch { display: inline-block; width: 12px; height: 12px; border: 1px solid #999; margin-right: 8px; }
`;

type Row = readonly [name: string, value: string];

function networkRows(architecture: Card['architecture']): Row[] {
  const { parameters, halo, tileable, smallest, multiple } = architecture;
  return [
    ...unetRows(architecture),
    ['parameters', parameters.toLocaleString('en')],
    ['halo', haloText(halo)],
    ['tiles', tileable ? `${smallest} + k·${multiple} px` : 'one size; not exact'],
  ];
}

/** The feature channels of a U-Net; none of another network. */
function unetRows(architecture: Card['architecture']): Row[] {
  if (architecture.kind !== 'unet') return [];
  const { channels, decoderChannels } = architecture;
  const decoder: Row[] = decoderChannels ? [['decoder', decoderChannels.join(', ')]] : [];
  return [['channels', channels.join(', ')], ...decoder];
}

function dataRows({ description, citation, terms, digest, split }: Card['data']): Row[] {
  const parts = Object.entries(split).map(
    ([part, stems]): Row => [part, `${stems.length}: ${stems.join(', ')}`],
  );
  return [
    ['description', description || 'not stated'],
    ['citation', citation ?? 'not stated'],
    ['terms', terms],
    ['digest', digest],
    ...parts,
  ];
}

function provenanceRows({ training, weights }: Card): Row[] {
  return [
    ['command', training.command],
    ['seed', String(training.seed)],
    ['steps', String(training.steps)],
    ...bestRows(training.best),
    ['seconds', String(training.seconds)],
    ['device', training.device],
    ...Object.entries(training.versions),
    ['weights', `sha256:${weights.sha256}`],
  ];
}

/** When the best network was reached, and by which score it was selected. */
function bestRows(best: Card['training']['best']): Row[] {
  if (!best) return [];
  const selected = `${best.monitor} ${best.value?.toFixed(4) ?? 'NaN'} in epoch ${best.epoch}`;
  return [
    ['steps to the best', String(best.steps)],
    ['selected by', selected],
  ];
}

const section = (title: string, body: string): string =>
  `<section><h2>${escapeXml(title)}</h2>${body}</section>`;

function table(rows: readonly Row[]): string {
  const cells = rows.map(([key, value]) => `<tr><th>${escapeXml(key)}</th><td>${escapeXml(value)}</td></tr>`);
  return `<table>${cells.join('')}</table>`;
}

function scoreTable(scores: Card['scores']): string {
  const parts = Object.keys(scores);
  const names = [...new Set(Object.values(scores).flatMap(Object.keys))];
  const head = `<tr><th></th>${parts.map((part) => `<th class="number">${escapeXml(part)}</th>`).join('')}</tr>`;
  const rows = names.map((name) => {
    const values = parts.map((part) => `<td class="number">${scores[part]![name]?.toFixed(4) ?? ''}</td>`);
    return `<tr><th>${escapeXml(name)}</th>${values.join('')}</tr>`;
  });
  return `<table>${head}${rows.join('')}</table>`;
}

function classTable(classes: Card['classes']): string {
  const rows = classes.map(({ name, colour }, i) => {
    const swatch = `<span class="swatch" style="background:${colour ?? 'transparent'}"></span>`;
    return `<tr><td class="number">${i}</td><td>${swatch}${escapeXml(name)}</td></tr>`;
  });
  return `<table>${rows.join('')}</table>`;
}

function sheetHtml(title: string, png: Buffer): string {
  const captions = ['image', 'labels', 'prediction', 'error (red)']
    .map((text) => `<span>${text}</span>`)
    .join('');
  const source = `data:image/png;base64,${png.toString('base64')}`;
  return `<figure class="sheet"><figcaption>${captions}</figcaption><img alt="${escapeXml(title)}" src="${source}"></figure>`;
}

/** Nested settings as rows: `optimizer kind`, `schedule learningRate`, … */
function flatten(value: object, prefix = ''): [string, string][] {
  return Object.entries(value).flatMap(([key, inner]): [string, string][] => {
    const name = `${prefix}${key}`;
    const nested = inner !== null && typeof inner === 'object' && !Array.isArray(inner);
    return nested ? flatten(inner as object, `${name} `) : [[name, inner === null ? 'none' : String(inner)]];
  });
}

const capitalise = (text: string): string => text[0]!.toUpperCase() + text.slice(1);
