/**
 * The worked example and the practice trial: both are about the controls, never about the right answer.
 *
 * The example shows three different answers to one question; the practice says what the controls now are at.
 * Neither uses a picture of the trials or knows how any picture was mixed.
 */

import { element } from './dom.js';
import { say } from './messages.js';
import { still } from './plugins/examples.js';

const PERSONS = ['example_person_1', 'example_person_2', 'example_person_3'];
const EXAMPLE_PX = 160;

/**
 * The page "How an answer looks".
 *
 * @param {object} trial parameters of the plugin with pictures of the reserved pool
 * @param {{node: HTMLElement|null, text: string}[]} answers from the plugin, one a person
 * @returns {HTMLElement[]}
 */
export function workedExample(trial, answers) {
  const people = answers.map(({ node, text }, index) =>
    element(
      'li',
      { class: 'example-answer' },
      node,
      element('p', {}, element('strong', {}, say(PERSONS[index])), ` ${text}`),
    ),
  );
  return [
    element('h1', {}, say('example_title')),
    element('p', {}, say('example_lead')),
    ...(trial.pictures.length === 1 ? [still(trial, 0, EXAMPLE_PX)] : []),
    element('ul', { class: 'example-answers' }, ...people),
  ];
}

/** Says in words what the controls are at while somebody tries them. */
export class Coach {
  #list = element('ul', { class: 'coach-readings' });
  node = element(
    'aside',
    { class: 'coach', 'aria-live': 'polite' },
    element('p', {}, say('practice_lead')),
    this.#list,
  );

  /** @param {string[]} sentences about the controls; only those that changed are written again */
  read(sentences) {
    const before = [...this.#list.children];
    before.slice(sentences.length).forEach((item) => item.remove());
    sentences.forEach((sentence, index) => {
      if (!before[index]) this.#list.append(element('li', {}, sentence));
      else if (before[index].textContent !== sentence) before[index].textContent = sentence;
    });
  }
}
