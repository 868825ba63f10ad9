/** An element of the page by its id, which must exist. */
export const byId = <Type extends HTMLElement = HTMLElement>(id: string): Type =>
  document.getElementById(id) as Type;
