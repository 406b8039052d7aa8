/**
 * The line "12 of 32 saved" in the page's head. "Saved" counts what the server holds, nothing else.
 */

import { messages } from './messages.js';

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
    const words = outbox.failing && unsent ? messages.unsentHere : unsent ? messages.saving : messages.saved;
    const sentence = words(saved, total, unsent);
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
