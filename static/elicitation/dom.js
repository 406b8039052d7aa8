/**
 * Elements made from data, so that no text is ever read as HTML, and the few pieces that several screens
 * share.
 */

/**
 * @param {string} tag
 * @param {object} [properties] `class`, `data-*`, `aria-*` and other attributes; `on` = listeners by event;
 *   true writes an empty attribute, null, undefined and false write none
 * @param {...(Node|string|null)} children strings become text
 * @returns {HTMLElement}
 */
export function element(tag, { on = {}, ...attributes } = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    node.setAttribute(name, value === true ? '' : value);
  }
  for (const [event, listener] of Object.entries(on)) node.addEventListener(event, listener);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/**
 * @param {string} label
 * @param {() => void} act
 * @param {object} [attributes] `class` replaces the look of a primary button
 */
export function button(label, act, attributes = {}) {
  return element(
    'button',
    { type: 'button', class: 'button button-primary', ...attributes, on: { click: act } },
    label,
  );
}

/** What the ends of a slider stand for. Hidden from screen readers, to which the slider says it itself. */
export function endsOf(left, right) {
  return element(
    'div',
    { class: 'ends', 'aria-hidden': 'true' },
    element('span', { dir: 'auto' }, left),
    element('span', { dir: 'auto' }, right),
  );
}

/** Text made safe inside HTML, for the jsPsych plugins that only take HTML strings. */
export function escapeHtml(text) {
  const replacements = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return String(text).replace(/[&<>"']/g, (character) => replacements[character]);
}

/** Move the keyboard and the screen reader to the start of what is new. */
export function focusOn(node) {
  if (!node) return;
  if (!node.hasAttribute('tabindex')) node.setAttribute('tabindex', '-1');
  node.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}
