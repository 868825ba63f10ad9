import { createHash } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';
import type { InferenceSession } from 'onnxruntime-node';
import { floatsOf } from './half/float16.js';
import { type AttributeValue, ElementType, type Graph, type TensorProto } from './proto.js';

/** What developers can have written while graphs are compiled and run. */
export interface Diagnostics {
  /**
   * Folder for compiled graphs, such as `/tmp/graphs`, created where it is missing: `NAME.onnx`, and a listing
   * `NAME.txt`. Default: none are written.
   */
  readonly graphsDir?: string;
  /**
   * Folder for ONNX Runtime's profiles, such as `/tmp/profiles`, created where it is missing: `NAME-PLACE_TIME.json`, in
   * the trace format of Chrome, one for each session, written when that is released. Default: none are written.
   */
  readonly profileDir?: string;
}

/** The name of a graph's files: a hash of the model, so that it is the same for the same graph in every run. */
function graphName(model: Uint8Array): string {
  return `graph-${createHash('sha256').update(model).digest('hex').slice(0, 12)}`;
}

/** Writes a compiled graph and its listing. Several lanes may write the same graph at the same time. */
export async function dumpGraph(folder: string, graph: Graph, model: Uint8Array): Promise<void> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, graphName(model));
  for (const [file, content] of [
    [`${path}.onnx`, model],
    [`${path}.txt`, listGraph(graph)],
  ] as const) {
    const own = `${file}.${process.pid}-${threadId}`;
    await writeFile(own, content);
    await rename(own, file);
  }
}

/**
 * The options of a session that is profiled.
 * @param place the lane and the threads of the session, so that profiles of one graph have different names
 */
export async function profileOptions(
  folder: string,
  model: Uint8Array,
  place: string,
): Promise<InferenceSession.SessionOptions> {
  await mkdir(folder, { recursive: true });
  return { enableProfiling: true, profileFilePrefix: join(folder, `${graphName(model)}-${place}`) };
}

/** Constants with up to this many elements are listed by value. */
const MAX_LISTED = 16;

/** A graph as text, a line for each input, constant, node and output. */
function listGraph({ inputs, initializers, nodes, outputs }: Graph): string {
  const section = (title: string, lines: readonly string[]) =>
    [title, ...lines.map((line) => `  ${line}`), ''].join('\n');
  const tensor = ({ name, element, dims }: Graph['inputs'][number]) =>
    `${name}: ${element} [${dims.join(', ')}]`;
  return [
    section('inputs', inputs.map(tensor)),
    section('constants', initializers.map(listConstant)),
    section('nodes', nodes.map(listNode)),
    section('outputs', outputs.map(tensor)),
  ].join('\n');
}

function listNode({ opType, input, output, attributes }: Graph['nodes'][number]): string {
  const listed = Object.entries(attributes).map(([name, value]) => ` ${name}=${listAttribute(value)}`);
  return `${output.join(', ')} = ${opType}(${input.join(', ')})${listed.join('')}`;
}

function listAttribute(value: AttributeValue): string {
  if (typeof value === 'number' || typeof value === 'string') return String(value);
  if ('float' in value) return String(value.float);
  return `[${('floats' in value ? value.floats : value).join(', ')}]`;
}

function listConstant({ name, dims, dataType, rawData }: TensorProto): string {
  const [element, array] = ARRAYS[dataType];
  const stored = new array(rawData.slice().buffer);
  const values = dataType === ElementType.float16 ? floatsOf(stored as Uint16Array) : stored;
  const listed = values.length <= MAX_LISTED ? ` = ${values.join(', ')}` : '';
  return `${name}: ${element} [${dims.join(', ')}]${listed}`;
}

const ARRAYS = {
  [ElementType.float32]: ['float32', Float32Array],
  [ElementType.uint8]: ['uint8', Uint8Array],
  [ElementType.int8]: ['int8', Int8Array],
  [ElementType.int32]: ['int32', Int32Array],
  [ElementType.int64]: ['int64', BigInt64Array],
  [ElementType.bool]: ['bool', Uint8Array],
  [ElementType.float16]: ['float16', Uint16Array],
} as const;
