/**
 * The line "Saved 12/32" in the page's head. "Saved" counts what the server holds, nothing else.
 */

import { say } from './messages.js';

/**
 * @param {object} parts
 * @param {HTMLElement} parts.text polite live region
 * @param {HTMLProgressElement} parts.bar
 * @param {import('./outbox.js').Outbox} parts.outbox
 * @param {{answered: number, total: number}} counts the server's, at the start
 * @returns {() => number} how many answers the server holds now
 */
export function showStatus({ text, bar, outbox }, { answered, total }) {
  let saved = answered;
  const show = () => {
    const unsent = outbox.unsent().length;
    const here = outbox.durable ? 'unsent_here' : 'unsent_memory';
    const name = outbox.failing && outbox.kept ? here : unsent ? 'saving' : 'saved';
    const sentence = say(name, { saved, total, unsent: outbox.kept });
    if (text.textContent !== sentence) text.textContent = sentence;
    bar.max = total;
    bar.value = saved;
  };
  outbox.addEventListener('result', ({ detail }) => {
    if (Number.isInteger(detail.answered)) saved = detail.answered;
  });
  outbox.addEventListener('change', show);
  show();
  return () => saved;
}
