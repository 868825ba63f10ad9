import type { OpenApi } from '../contract/openapi/document.js';

/** The parts of the document that the page shows. */
interface Described {
  readonly description?: string;
}
interface Schema extends Described {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly pattern?: string;
  readonly items?: Schema | false;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | boolean;
}
interface Body extends Described {
  readonly content?: Readonly<Record<string, { readonly schema: Schema; readonly example?: unknown }>>;
  readonly headers?: Readonly<Record<string, Described>>;
}
interface Components {
  readonly schemas: Readonly<Record<string, Schema>>;
  readonly responses: Readonly<Record<string, Body>>;
}
interface Operation extends Described {
  readonly operationId: string;
  readonly tags: readonly [string];
  readonly summary: string;
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  readonly parameters?: readonly (Described & {
    readonly name: string;
    readonly in: string;
    readonly required: boolean;
    readonly schema: Schema;
  })[];
  readonly requestBody?: Body & { readonly required: boolean };
  readonly responses: Readonly<Record<string, Body | { readonly $ref: string }>>;
}

/**
 * The contract as a page, which needs no script. It is made from the document that programs read, so that they
 * always agree.
 */
export function docsPage(document: OpenApi): string {
  const { info, tags, components } = document as unknown as {
    readonly info: Described & { readonly title: string; readonly version: string };
    readonly tags: readonly (Described & { readonly name: string })[];
    readonly components: Components;
  };
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, each]) => ({ path, method, ...(each as Operation) })),
  );
  const groups = tags.map(({ name, description }) => {
    const own = operations.filter(({ tags }) => tags[0] === name);
    return `<h2 id="${name}">${escaped(name)}</h2>${paragraph(description)}${own.map((each) => operationOf(each, components)).join('')}`;
  });
  const schemas = Object.entries(components.schemas).map(
    ([name, schema]) =>
      `<h3 id="schema-${name}">${name}</h3>${paragraph(schema.description)}${propertiesOf(schema)}`,
  );
  const links = [...tags.map(({ name }) => name), 'Schemas']
    .map((name) => `<a href="#${name}">${escaped(name)}</a>`)
    .join(' ');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(info.title)}: API</title>
<link rel="icon" href="/web/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/web/docs.css">
</head>
<body>
<header><h1>${escaped(info.title)} ${escaped(info.version)}</h1><nav aria-label="Groups">${links}</nav></header>
<main>
${paragraph(info.description)}<p>For programs: <a href="/openapi.json"><code>/openapi.json</code></a>.</p>
${groups.join('\n')}
<h2 id="Schemas">Schemas</h2>
${schemas.join('\n')}
</main>
</body>
</html>
`;
}

type Placed = Operation & { readonly path: string; readonly method: string };

function operationOf(operation: Placed, components: Components): string {
  const {
    operationId,
    method,
    path,
    summary,
    description,
    security,
    parameters = [],
    requestBody,
  } = operation;
  const scope = security.flatMap((each) => Object.values(each).flat())[0];
  const rows = parameters.map(({ name, in: where, required, schema, description }) => [
    code(name),
    `${where}${required ? ', required' : ''}`,
    typeText(schema),
    text(description),
  ]);
  const responses = Object.entries(operation.responses).map(([status, response]) => {
    const body = '$ref' in response ? components.responses[nameOf(response.$ref)]! : response;
    const headers = Object.keys(body.headers ?? {}).map(code);
    return [code(status), text(body.description), contentText(body), headers.join(' ')];
  });
  return `<details id="${operationId}"><summary><code><b>${method.toUpperCase()}</b> ${escaped(path)}</code> ${text(summary)}</summary>
${paragraph(description)}${scope === undefined ? '' : `<p>Scope: ${code(scope)}.</p>`}
${table(['parameter', 'in', 'value', ''], rows)}
${requestBody ? `<p>Body${requestBody.required ? '' : ', optional'}: ${contentText(requestBody)}</p>` : ''}
${table(['status', '', 'body', 'headers'], responses)}
</details>`;
}

const contentText = ({ content = {} }: Body): string =>
  Object.entries(content)
    .map(([type, { schema }]) => `${code(type)}${schema.$ref ? ` ${typeText(schema)}` : ''}`)
    .join(', ');

function propertiesOf({ properties = {}, required = [] }: Schema): string {
  const rows = Object.entries(properties).map(([name, schema]) => [
    code(name),
    required.includes(name) ? '' : 'optional',
    typeText(schema),
    text(schema.description),
  ]);
  return table(['member', '', 'value', ''], rows);
}

/** The name that a reference ends with. */
const nameOf = (reference: string): string => reference.slice(reference.lastIndexOf('/') + 1);

/** A schema in a few words. */
function typeText({ $ref, enum: values, const: only, anyOf, oneOf, items, type, ...rest }: Schema): string {
  if ($ref !== undefined) {
    const name = nameOf($ref);
    return `<a href="#schema-${name}">${escaped(name)}</a>`;
  }
  if (only !== undefined) return code(String(only));
  if (values) return values.map((value) => code(String(value))).join(' ');
  const either = anyOf ?? oneOf;
  if (either) return either.map(typeText).join(' or ');
  if (items) return `list of ${typeText(items)}`;
  if (rest.properties) {
    const members = Object.entries(rest.properties).map(([name, each]) => `${code(name)}: ${typeText(each)}`);
    return `{ ${members.join(', ')} }`;
  }
  const name = type === undefined ? 'any' : [type].flat().join(' or ');
  return rest.pattern === undefined ? escaped(name) : `${escaped(name)} ${code(rest.pattern)}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const cells = (tag: string, row: readonly string[]) =>
    `<tr>${row.map((cell) => `<${tag}>${cell}</${tag}>`).join('')}</tr>`;
  return `<table><thead>${cells('th', head)}</thead><tbody>${rows.map((row) => cells('td', row)).join('')}</tbody></table>`;
}

const paragraph = (of: string | undefined): string => (of === undefined ? '' : `<p>${text(of)}</p>\n`);
const code = (of: string): string => `<code>${escaped(of)}</code>`;
/** Text with `code` in it. */
const text = (of = ''): string => escaped(of).replaceAll(/`([^`]+)`/g, '<code>$1</code>');
const escaped = (of: string): string =>
  of.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
