/**
 * The worked example and the practice trial: both are about the controls, never about the right answer.
 *
 * The example shows three different answers to one picture; the practice says what the sliders now mean.
 * Neither uses a picture of the trials or knows how any picture was mixed.
 */

import { confidenceText, inSentence, mixtureText } from './controls.js';
import { element, endsOf, pictureBox } from './dom.js';
import { messages } from './messages.js';

/** Chosen to differ and to be no share that any example is mixed with; the page says that none is right. */
const EXAMPLE_ANSWERS = [{ mixing: 15, confidence: 85 }, { mixing: 60, confidence: 30 }, null];

/**
 * The page "How an answer looks", for the instructions plugin.
 *
 * @param {{src: string, width: number, height: number}} picture an example picture
 * @param {{left_class: string, right_class: string}} names
 * @param {number} times its enlargement
 * @returns {string} HTML made from elements, so every text in it is escaped
 */
export function examplePage(picture, { left_class: left, right_class: right }, times) {
  const answers = EXAMPLE_ANSWERS.map((answer, index) =>
    element(
      'li',
      { class: 'example-answer' },
      answer && still(answer.mixing, [left, right]),
      answer && still(answer.confidence, messages.confidenceEnds),
      element(
        'p',
        {},
        element('strong', {}, messages.exampleAnswers[index]),
        ` ${meaning(answer, left, right)}`,
      ),
    ),
  );
  const image = element('img', {
    class: 'ms-image',
    src: picture.src,
    width: picture.width * times,
    height: picture.height * times,
    alt: messages.pictureAlt,
  });
  return element(
    'section',
    { class: 'example' },
    element('h1', {}, messages.exampleTitle),
    element('p', {}, messages.exampleLead),
    pictureBox(image),
    element('ul', { class: 'example-answers' }, ...answers),
  ).outerHTML;
}

function meaning(answer, left, right) {
  if (!answer) return messages.exampleCannotTell;
  return messages.exampleMeaning(mixtureText(answer.mixing, left, right), confidenceText(answer.confidence));
}

/** A slider to look at; the sentence beside it says the same. */
function still(value, ends) {
  const slider = element('input', {
    type: 'range',
    class: 'ms-range',
    min: 0,
    max: 100,
    value,
    disabled: true,
  });
  return element(
    'div',
    { class: 'example-slider', 'aria-hidden': 'true' },
    element('div', { class: 'ms-track' }, slider),
    endsOf(...ends),
  );
}

/** Says in words what the controls are at while somebody tries them. */
export class Coach {
  #left;
  #right;
  #mixing = element('p');
  #confidence = element('p');
  node = element(
    'aside',
    { class: 'coach', 'aria-live': 'polite' },
    element('p', {}, messages.practiceLead),
    this.#mixing,
    this.#confidence,
    element('p', { class: 'coach-keys' }, messages.practiceReading.keys),
  );

  /** @param {{left_class: string, right_class: string}} names */
  constructor({ left_class: left, right_class: right }) {
    this.#left = left;
    this.#right = right;
  }

  /** @param {{mixing: number|null, confidence: number|null, cannot_tell: boolean}} reading */
  read({ mixing, confidence, cannot_tell: cannotTell }) {
    const words = messages.practiceReading;
    this.#mixing.textContent = cannotTell ? words.cannotTell : this.#aboutMixing(mixing);
    this.#confidence.textContent = cannotTell ? '' : this.#aboutConfidence(confidence);
  }

  #aboutConfidence(value) {
    const words = messages.practiceReading.confidence;
    return value === null ? words.none : words.set(confidenceText(value));
  }

  #aboutMixing(value) {
    const words = messages.practiceReading.mixing;
    if (value === null) return words.none(inSentence(this.#left), inSentence(this.#right));
    const towards = inSentence(value < 50 ? this.#left : this.#right);
    if (value === 50) return words.middle;
    if (value === 0 || value === 100) return words.end(towards);
    return words.side(towards, mixtureText(value, this.#left, this.#right));
  }
}
