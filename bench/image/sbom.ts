import type { ServerContainer } from './container.js';

/** All `NAME@VERSION` that the list of contents has. */
const LISTED = `JSON.parse(fs.readFileSync('/app/sbom.cdx.json')).components.map((each) => each['bom-ref'])`;

/** All `NAME@VERSION` below `node_modules`, nested ones, too. */
const INSTALLED = `fs.readdirSync('/app/node_modules', { recursive: true })
  .filter((path) => /(^|node_modules\\/)(@[^/]+\\/)?[^/]+\\/package.json$/.test(path))
  .map((path) => JSON.parse(fs.readFileSync('/app/node_modules/' + path)))
  .filter(({ name, version }) => name && version)
  .map(({ name, version }) => name + '@' + version)`;

/** Compares an image's list of contents with the packages that are in it. */
export async function compareSbom(container: ServerContainer) {
  const listed = new Set((await container.evaluate(LISTED)) as string[]);
  const installed = new Set((await container.evaluate(INSTALLED)) as string[]);
  return {
    packages: installed.size,
    unlisted: [...installed].filter((name) => !listed.has(name)),
    absent: [...listed].filter((name) => !installed.has(name)),
  };
}
