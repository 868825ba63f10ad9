import { ElementType, type Graph, type NodeProto } from '../proto.js';

export type Element = keyof typeof ElementType;

const ELEMENTS = new Map(
  Object.entries(ElementType).map(([name, type]) => [type as number, name as Element] as const),
);

const BOOLEAN = new Set(['Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual', 'Not', 'And', 'Or']);
const INTEGER = new Set(['ArgMax', 'ArgMin', 'Shape']);

/** The element types of a graph's values, by their names. */
export function elementsOf({ inputs, initializers, nodes }: Graph): Map<string, Element> {
  const elements = new Map<string, Element>(inputs.map(({ name, element }) => [name, element]));
  for (const { name, dataType } of initializers) elements.set(name, ELEMENTS.get(dataType)!);
  for (const node of nodes) {
    const element = resultOf(node, elements);
    for (const name of node.output) elements.set(name, element);
  }
  return elements;
}

function resultOf({ opType, input, attributes }: NodeProto, elements: ReadonlyMap<string, Element>): Element {
  if (BOOLEAN.has(opType)) return 'bool';
  if (INTEGER.has(opType)) return 'int64';
  if (opType === 'Cast') return ELEMENTS.get(attributes.to as number)!;
  if (opType === 'ConstantOfShape') return 'float32'; // without a value, of which none is written
  return elements.get(input[opType === 'Where' ? 1 : 0]!)!;
}
