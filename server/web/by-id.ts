/** An element of the page's own; it is there. */
export const byId = <Type extends HTMLElement = HTMLElement>(id: string): Type =>
  document.getElementById(id) as Type;
