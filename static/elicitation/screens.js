/**
 * The participant's screens that are no jsPsych trial: loading, waiting for the connection, finishing, and
 * the covers that end the page. They show state that others keep and decide nothing.
 */

import { button, element, focusOn } from './dom.js';
import { messages } from './messages.js';

/**
 * Cover the page with a dialog that cannot be dismissed.
 *
 * @param {object} content
 * @param {string} content.title
 * @param {string} content.text
 * @param {[string, () => void][]} [content.actions] button label and what it does
 * @returns {() => void} takes the cover away
 */
export function cover({ title, text, actions = [] }) {
  const heading = element('h1', { id: 'cover-title' }, title);
  const buttons = actions.map(([label, act]) => button(label, act));
  const dialog = element(
    'dialog',
    {
      class: 'cover',
      'aria-labelledby': 'cover-title',
      'aria-describedby': 'cover-text',
      on: { cancel: (event) => event.preventDefault() },
    },
    heading,
    element('p', { id: 'cover-text' }, text),
    buttons.length ? element('div', { class: 'actions' }, ...buttons) : null,
  );
  // Browsers close a dialog at the second Escape whatever `cancel` says.
  const stay = () => dialog.showModal();
  dialog.addEventListener('close', stay);
  document.body.append(dialog);
  dialog.showModal();
  return () => {
    dialog.removeEventListener('close', stay);
    dialog.remove();
  };
}

/** Cover with one button that opens the page again. */
export function reloadCover(title, text, label = messages.openAgain) {
  return cover({ title, text, actions: [[label, () => window.location.reload()]] });
}

/**
 * Show loading until every picture is there; failures are named by number, with a button to try again.
 *
 * @param {HTMLElement} display
 * @param {import('./preload.js').Preloader} pictures
 * @param {() => void} onFailure called each time some pictures were given up
 */
export async function preloadScreen(display, pictures, onFailure) {
  if (pictures.loaded === pictures.total) return;
  const bar = element('progress', { max: pictures.total, value: 0, 'aria-label': messages.preloadTitle });
  const text = element('p', { role: 'status' });
  const again = element(
    'button',
    { type: 'button', class: 'button button-primary', hidden: true },
    messages.tryAgain,
  );
  const heading = element('h1', {}, messages.preloadTitle);
  display.replaceChildren(element('section', { class: 'screen' }, heading, bar, text, again));
  focusOn(heading);
  const show = () => {
    bar.value = pictures.loaded;
    text.textContent = messages.preloadProgress(pictures.loaded, pictures.total);
  };
  pictures.addEventListener('progress', show);
  show();
  while (!(await pictures.run())) {
    onFailure();
    text.textContent = messages.preloadFailed(pictures.failed.length);
    again.hidden = false;
    again.focus();
    await new Promise((resolve) => again.addEventListener('click', resolve, { once: true }));
    again.hidden = true;
    show();
  }
  pictures.removeEventListener('progress', show);
}

/**
 * Keep the next trial back until answers get through again. Shown between trials only.
 *
 * @param {import('./outbox.js').Outbox} outbox
 */
export async function holdScreen(outbox) {
  const uncover = cover({
    title: messages.holdTitle,
    text: outbox.durable ? messages.holdDurable : messages.holdMemory,
    actions: [[messages.tryNow, () => outbox.wake()]],
  });
  while (outbox.holding) {
    await new Promise((resolve) => outbox.addEventListener('change', resolve, { once: true }));
  }
  uncover();
}

/**
 * The last screen of this page, while the last answers go out.
 *
 * @param {HTMLElement} display
 * @param {import('./outbox.js').Outbox} outbox
 * @returns {(failing: boolean) => void} says whether the connection fails
 */
export function finishScreen(display, outbox) {
  const heading = element('h1', {}, messages.finishing);
  const text = element('p', { role: 'status' });
  const again = button(messages.tryNow, () => outbox.wake(), { hidden: true });
  display.replaceChildren(element('section', { class: 'screen' }, heading, text, again));
  focusOn(heading);
  return (failing) => {
    again.hidden = !failing;
    const words = outbox.durable ? messages.holdDurable : messages.holdMemory;
    text.textContent = failing ? words : '';
  };
}

/**
 * Some positions have no answer on the server although everything was sent: offer them again.
 *
 * @param {HTMLElement} display
 * @param {number} count
 * @param {object[]} refused answers the server would not take, offered as a file
 */
export function missingScreen(display, count, refused) {
  const heading = element('h1', {}, messages.missingTitle);
  const again = button(messages.giveAgain, () => window.location.reload());
  const file = refused.length ? downloadLink(refused) : null;
  display.replaceChildren(
    element(
      'section',
      { class: 'screen' },
      heading,
      element('p', {}, messages.missingText(count)),
      file && element('p', {}, messages.missingStuck),
      element('div', { class: 'actions' }, again, file),
    ),
  );
  focusOn(heading);
}

function downloadLink(answers) {
  const blob = new Blob([JSON.stringify(answers, null, 1)], { type: 'application/json' });
  return element(
    'a',
    { class: 'button', href: URL.createObjectURL(blob), download: 'answers.json' },
    messages.download,
  );
}

/** A page that ends here: heading and one paragraph. */
export function endScreen(display, title, text) {
  const heading = element('h1', {}, title);
  display.replaceChildren(element('section', { class: 'screen' }, heading, element('p', {}, text)));
  focusOn(heading);
}
