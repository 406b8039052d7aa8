/**
 * What the participant's page itself says. The sentences come with the page, in its language
 * (`elicitation/flow/wording.py`); a study's own wording (questions, instructions) comes beside them.
 */

/** Keeps a name of either direction in its place within a sentence of the other. */
const ISOLATE = ['\u2068', '\u2069'];

let templates = {};
let isolates = false;

/**
 * @param {Record<string, string>} given sentences by name, with `{holes}` for values
 * @param {'ltr'|'rtl'} [direction] of the sentences
 */
export function useMessages(given, direction = 'ltr') {
  templates = given;
  isolates = direction === 'rtl';
}

/**
 * @param {string} name of a sentence in `elicitation/flow/wording.py`
 * @param {Record<string, string|number>} [values] what the holes are filled with
 * @returns {string} plain text, never HTML
 */
export function say(name, values = {}) {
  return fill(templates[name] ?? name, values);
}

/** Fill `{holes}` of a text; a hole without a value stays as it is. */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (hole, key) => (Object.hasOwn(values, key) ? put(values[key]) : hole));
}

function put(value) {
  return isolates && typeof value === 'string' ? `${ISOLATE[0]}${value}${ISOLATE[1]}` : String(value);
}
