import type { Card } from '../../model/shelf/card.js';
import type { OpenOptions } from '../../tiling/sources/options.js';
import { type Dataset, openDataset } from '../training/data/dataset.js';
import type { RangeChoice } from '../training/data/intensities.js';
import { classesOf, parseLegend } from './training-values.js';

/** Options of commands that score a model on labelled images; see `labelOptions`. */
export interface LabelledFlags {
  readonly images: string;
  readonly labels: string;
  readonly legend?: string;
  readonly instances?: boolean;
  readonly ignore?: number;
  readonly range?: RangeChoice;
}

/** Opens images and labels as the model of the card sees them. */
export function openLabelled(flags: LabelledFlags, card: Card, open: OpenOptions): Promise<Dataset> {
  const classes = classesOf({ ...flags, classes: card.classes });
  const { images, labels, ignore = null, range = { of: card }, instances = false, legend } = flags;
  return openDataset(
    {
      images,
      labels,
      ignore,
      range,
      classes: classes.length,
      inputChannels: card.inputChannels,
      channels: card.channels ? { named: card.channels, indexes: null } : null,
      labelBorder: 'reflect',
      instances,
      legend: legend === undefined ? null : new Map(parseLegend(legend, classes)),
    },
    open,
  );
}
