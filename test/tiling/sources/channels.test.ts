import { describe, expect, it } from 'vitest';
import { chooseChannels } from '../../../tiling/sources/channels.js';

const NAMES = ['DAPI', 'CD3', '647', 'CD45 ', 'CD3'];
const choose = (channels: (string | number)[]) => chooseChannels({ channels }, NAMES, NAMES.length);
const match = (wanted: { name: string; aliases: string[] }[], names: string[] | null = NAMES) =>
  chooseChannels({ wanted }, names, names?.length ?? 1);
const named = (name: string, ...aliases: string[]) => ({ name, aliases });

describe('channels that are chosen', () => {
  it('are numbers, or names in any case, in their order', () => {
    expect(choose([2, 'dapi', 'Cd45', 0])).toEqual([2, 0, 3, 0]);
    expect(chooseChannels({}, NAMES, 5)).toBeUndefined();
  });

  it('are names of digits where no channel has the number', () => {
    expect(choose([647])).toEqual([2]);
    expect(choose(['2'])).toEqual([2]);
    expect(() => choose([648])).toThrow('there is no channel 648: the image has 5, from 0');
  });

  it('are refused where no channel, or more than one, has the name', () => {
    expect(() => choose(['CD4'])).toThrow(
      'there is no channel "CD4": its channels are 0 DAPI, 1 CD3, 2 647,',
    );
    expect(() => choose(['CD3'])).toThrow('several channels have the name "CD3": its channels are 0 DAPI');
    expect(() => chooseChannels({ channels: ['DAPI'] }, null, 3)).toThrow('its 3 channels have no names');
  });
});

describe('channels that a model takes', () => {
  it('are found by their names, or else by their aliases', () => {
    expect(match([named('cd45'), named('Hoechst', 'dapi')])).toEqual([3, 0]);
    expect(match([named('DAPI', 'CD3')])).toEqual([0]);
  });

  it('are refused by their name where they are missing or ambiguous, with what there is and how to choose', () => {
    expect(() => match([named('DAPI'), named('CD8', 'CD-8')])).toThrow(
      'the image has no channel named "CD8" or "CD-8": its channels are 0 DAPI, 1 CD3, 2 647, 3 CD45 , 4 CD3. ' +
        'Select those of DAPI, CD8, in this order, with "channels", such as channels=0,1',
    );
    expect(() => match([named('CD3')])).toThrow('the image has 2 channels named "CD3"');
    expect(() => match([named('DAPI')], null)).toThrow('its channel has no name');
  });
});
