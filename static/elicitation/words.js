/**
 * Sentences about classes and shares, as plain functions. A class is always said by its name as the image set
 * gives it; the words around it are translated.
 */

import { fill, say } from './messages.js';

/** A class's name within a sentence: a number gets quotes, so that "80% 3" is not read as one number. */
export function inSentence(name) {
  return /^[\d.,]+$/.test(name) ? say('quoted', { name }) : name;
}

/** Fill `{left}` and `{right}` in a study's wording with the names of the two classes. */
export function withNames(text, left, right) {
  return fill(text, { left: inSentence(left), right: inSentence(right) });
}

/** "64% ship, 36% cat": the larger share first, because it is what the answer says. */
export function mixtureText(percent, left, right) {
  const [more, less] = percent > 50 ? [right, left] : [left, right];
  const number = Math.max(percent, 100 - percent);
  const share = say('percent', { number });
  const rest = say('percent', { number: 100 - number });
  return say('mixture', { share, name: inSentence(more), rest, other: inSentence(less) });
}
