import { describe, expect, it } from 'vitest';
import { readLayersConfig, topologyOf } from '../../../model/exchange/keras-config.js';

const input = (shape: unknown) => ({
  class_name: 'InputLayer',
  config: { name: 'image', ...(shape as object) },
  name: 'image',
  inbound_nodes: [],
});
const conv = (name: string, inbound_nodes: unknown[], config: object = {}) => ({
  class_name: 'Conv2D',
  name,
  config: { name, filters: 2, kernel_size: [3, 3], padding: 'same', activation: 'linear', ...config },
  inbound_nodes,
});
const functional = (layers: object[], output = 'end', config: object = {}) => ({
  class_name: 'Functional',
  config: { layers, input_layers: [['image', 0, 0]], output_layers: [[output, 0, 0]], ...config },
});
const keras2 = input({ batch_input_shape: [null, null, null, 3], dtype: 'float32' });
const reads = (name: string) => [[[name, 0, 0, {}]]];

describe('networks of layers', () => {
  it('of Keras 2 and of Keras 3 are the same', () => {
    const tensor = { class_name: '__keras_tensor__', config: { shape: [], keras_history: ['image', 0, 0] } };
    const old = functional([keras2, conv('end', reads('image'))]);
    const recent = functional(
      [
        input({ batch_shape: [null, null, null, 3], dtype: 'float32' }),
        conv('end', [{ args: [tensor], kwargs: {} }], {
          dtype: { class_name: 'DTypePolicy', config: { name: 'float32' } },
          kernel_initializer: { module: 'keras.initializers', class_name: 'GlorotUniform' },
        }),
      ],
      'end',
      { input_layers: ['image', 0, 0], output_layers: ['end', 0, 0] },
    );
    expect(readLayersConfig(recent)).toEqual(readLayersConfig(old));
    expect(readLayersConfig(old)).toMatchObject({ input: 'image', output: 'end', channels: 3 });
  });

  it('may be a sequence', () => {
    const first = conv('first', [], { batch_input_shape: [null, 64, 64, 1] });
    const { layers, input: entrance } = readLayersConfig({
      class_name: 'Sequential',
      config: { layers: [first, conv('second', [])] },
    });
    expect(layers.map(({ name, inbound_nodes: [inbound] }) => [name, inbound?.[0]?.[0]])).toEqual([
      [entrance, undefined],
      ['first', entrance],
      ['second', 'first'],
    ]);
  });

  it('end in a layer for their activation, and drop nothing', () => {
    const dropout = { class_name: 'SpatialDropout2D', name: 'drop', config: { name: 'drop', rate: 0.5 } };
    const config = readLayersConfig(
      functional([
        keras2,
        { ...dropout, inbound_nodes: reads('image') },
        conv('end', reads('drop'), { activation: 'sigmoid' }),
      ]),
    );
    expect(topologyOf(config, 32)).toMatchObject({
      config: {
        layers: [
          { config: { batch_input_shape: [null, 32, 32, 3] } },
          { class_name: 'Dropout', config: { rate: 0 } },
          { config: { activation: 'linear' } },
          { class_name: 'Activation', config: { activation: 'sigmoid' } },
        ],
        output_layers: [['end_activation', 0, 0]],
      },
    });
  });

  it.each([
    [
      'a function of Python',
      { class_name: 'Lambda', config: {} },
      /"end" is not supported: layers of class Lambda/,
    ],
    ['a network', { class_name: 'Functional', config: {} }, /layers of class Functional/],
    ['groups', conv('end', [], { groups: 2 }), /a convolution|convolution is of 2 groups/],
    ['channels that come first', conv('end', [], { data_format: 'channels_first' }), /channels come first/],
    [
      'a slope',
      { class_name: 'ReLU', config: { negative_slope: 0.1 } },
      /its negative_slope is 0\.1; only 0 is/,
    ],
    ['another axis', { class_name: 'Softmax', config: { axis: 1 } }, /its axis is 1; only -1 or 3 is/],
    ['two uses', conv('end', [...reads('image'), ...reads('image')]), /used more than once/],
  ])('are refused by the layer that has %s', (_what, layer, reason) => {
    const end = { inbound_nodes: reads('image'), ...layer, name: 'end' };
    expect(() => readLayersConfig(functional([keras2, end]))).toThrow(reason);
  });

  it('need one image of a known number of channels', () => {
    const open = input({ batch_input_shape: [null, null, null, null] });
    expect(() => readLayersConfig(functional([open, conv('end', reads('image'))]))).toThrow(
      /takes no images/,
    );
    const two = {
      output_layers: [
        ['end', 0, 0],
        ['image', 0, 0],
      ],
    };
    expect(() => readLayersConfig(functional([keras2, conv('end', reads('image'))], 'end', two))).toThrow(
      /several inputs or outputs/,
    );
  });
});
