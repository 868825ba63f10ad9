import { z } from 'zod';
import { inferParametersSchema } from '../queries.js';

/** Data types of image tensors in the Open Inference Protocol, with the bytes of a value. */
export const DATATYPES = { UINT8: 1, UINT16: 2, FP32: 4 } as const;
export type Datatype = keyof typeof DATATYPES;
const DATATYPE_NAMES = Object.keys(DATATYPES) as [Datatype, ...Datatype[]];

/** The one input, and the outputs. */
export const INPUT = 'image';
export const TENSORS = ['labels', 'probabilities'] as const;
export type TensorName = (typeof TENSORS)[number];

const count = z.int().min(0);

const inputSchema = z
  .strictObject({
    name: z.literal(INPUT, `the input is named "${INPUT}"`),
    datatype: z.enum(DATATYPE_NAMES),
    shape: z
      .array(z.int().min(1))
      .length(4, 'expected [1, height, width, channels]')
      .describe(
        '`[1, height, width, channels]`, with 1 channel for gray, 3 for RGB, or those of the model in its order',
      ),
    parameters: z
      .strictObject({ binary_data_size: count.exactOptional() })
      .exactOptional()
      .describe('`binary_data_size`: the bytes of its values, which follow the JSON'),
    data: z
      .array(z.unknown())
      .exactOptional()
      .describe('its values, row by row, channels interleaved; flat, or nested as the shape is'),
  })
  .describe('one image');

const outputSchema = z.strictObject({
  name: z.enum(TENSORS),
  parameters: z
    .strictObject({ binary_data: z.boolean().exactOptional() })
    .exactOptional()
    .describe('`binary_data`: whether its values follow the JSON of the response'),
});

const parametersSchema = inferParametersSchema
  .extend({
    binary_data_output: z
      .boolean()
      .exactOptional()
      .describe('whether the values of outputs that do not say it follow the JSON of the response'),
  })
  .describe('`binary_data_output`, and the parameters of `POST /v1/segment`');

/** The JSON of an inference request. */
export const inferRequestSchema = z
  .strictObject({
    id: z.string().max(200).exactOptional().describe('any text, which the response repeats'),
    parameters: parametersSchema.exactOptional(),
    inputs: z.array(inputSchema).length(1, `expected one input, "${INPUT}"`),
    outputs: z.array(outputSchema).min(1).max(TENSORS.length).exactOptional().describe('default `labels`'),
  })
  .describe('an image to segment, as a tensor');

/** An inference request, except for its parameters, which are parsed as those of a job are. */
export const inferHeadSchema = inferRequestSchema.extend({
  parameters: z.record(z.string(), z.unknown()).exactOptional(),
});
export type InferHead = z.output<typeof inferHeadSchema>;
export type InferInput = InferHead['inputs'][number];

const tensorSchema = z.object({
  name: z.string(),
  datatype: z.string(),
  shape: z.array(z.int()).describe('-1 for what differs from image to image'),
});

/** The metadata of a model. */
export const inferenceModelSchema = z
  .object({
    name: z.string(),
    versions: z.array(z.string()),
    platform: z.string(),
    inputs: z.array(tensorSchema),
    outputs: z.array(tensorSchema),
  })
  .describe('a model, as the Open Inference Protocol describes it');
export type InferenceModel = z.output<typeof inferenceModelSchema>;

export const inferenceModelListSchema = z
  .object({ models: z.array(inferenceModelSchema) })
  .describe('the models, by their names');

/** Extensions of the protocol that the server has. */
export const EXTENSIONS = ['binary_tensor_data', 'model_repository'] as const;

export const inferenceServerSchema = z
  .object({ name: z.string(), version: z.string(), extensions: z.array(z.string()) })
  .describe('the server');

/** The JSON of an inference response. */
export const inferResponseSchema = z
  .object({
    model_name: z.string(),
    model_version: z.string(),
    id: z.string().exactOptional(),
    outputs: z.array(
      z.object({
        name: z.enum(TENSORS),
        datatype: z.enum(['UINT8', 'FP32']),
        shape: z.array(z.int()),
        parameters: z.object({ binary_data_size: count }).exactOptional(),
        data: z.array(z.number()).exactOptional().describe('row by row, flat'),
      }),
    ),
  })
  .describe('the mask of an image');
