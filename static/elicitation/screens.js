/**
 * The participant's screens that are no jsPsych trial: reading, loading, waiting for the connection,
 * finishing, and the covers that end the page. They show state that others keep and decide nothing.
 */

import { button, element, focusOn } from './dom.js';
import { say } from './messages.js';

/** Trials whose pictures failed that are named one by one; more only make the sentence long. */
const MOST_NAMED = 12;

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
    element('div', { class: 'actions' }, ...buttons, problemLink()),
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

/** "Report a problem" again, where the one at the foot of the page cannot be reached. */
function problemLink() {
  const link = document.querySelector('.foot a[target]');
  return link && element('a', { href: link.href, target: '_blank', rel: 'noopener' }, link.textContent);
}

/** Cover with one button that opens the page again. */
export function reloadCover(title, text, label = say('open_again')) {
  return cover({ title, text, actions: [[label, () => window.location.reload()]] });
}

/**
 * A page to read, with one button; resolves when that is pressed.
 *
 * @param {HTMLElement} display
 * @param {HTMLElement[]} content starting with its heading
 * @param {string} label
 */
export async function readScreen(display, content, label) {
  const go = button(label, () => {}, { id: 'read-on' });
  display.replaceChildren(
    element('section', { class: 'screen reading' }, ...content),
    element('div', { class: 'actions' }, go),
  );
  focusOn(content[0]);
  await new Promise((resolve) => go.addEventListener('click', resolve, { once: true }));
}

/**
 * Show loading until every picture is there; failures are named by the numbers of their trials, with a button to try
 * again.
 *
 * @param {HTMLElement} display
 * @param {import('./preload.js').Preloader} pictures
 * @param {object} parts
 * @param {(urls: string[]) => number[]} parts.numbersOf numbers of the trials that show any of the pictures
 * @param {() => void} parts.onFailure called each time some pictures were given up
 */
export async function preloadScreen(display, pictures, { numbersOf, onFailure }) {
  if (pictures.loaded === pictures.total) return;
  const bar = element('progress', { max: pictures.total, value: 0, 'aria-label': say('preload_title') });
  const text = element('p', { role: 'status' });
  const again = button(say('try_again'), () => {}, { hidden: true });
  const heading = element('h1', {}, say('preload_title'));
  display.replaceChildren(element('section', { class: 'screen' }, heading, bar, text, again));
  focusOn(heading);
  const show = () => {
    bar.value = pictures.loaded;
    text.textContent = say('preload_progress', { loaded: pictures.loaded, total: pictures.total });
  };
  pictures.addEventListener('progress', show);
  show();
  while (!(await pictures.run())) {
    onFailure();
    text.textContent = say('preload_failed', { numbers: listed(numbersOf(urlsOf(pictures.failed))) });
    again.hidden = false;
    again.focus();
    await new Promise((resolve) => again.addEventListener('click', resolve, { once: true }));
    again.hidden = true;
    show();
  }
  pictures.removeEventListener('progress', show);
}

const urlsOf = (failed) => failed.map(({ url }) => url);

function listed(numbers) {
  const named = numbers.slice(0, MOST_NAMED).join(', ');
  return numbers.length > MOST_NAMED ? `${named} …` : named;
}

/**
 * Keep the next trial back until answers get through again. Shown between trials only.
 *
 * @param {import('./outbox.js').Outbox} outbox
 */
export async function holdScreen(outbox) {
  const uncover = cover({
    title: say('hold_title'),
    text: say(outbox.durable ? 'hold_durable' : 'hold_memory'),
    actions: [[say('try_now'), () => outbox.wake()]],
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
  const heading = element('h1', {}, say('finishing'));
  const text = element('p', { role: 'status' });
  const again = button(say('try_now'), () => outbox.wake(), { hidden: true });
  display.replaceChildren(element('section', { class: 'screen' }, heading, text, again));
  focusOn(heading);
  return (failing) => {
    again.hidden = !failing;
    text.textContent = failing ? say(outbox.durable ? 'hold_durable' : 'hold_memory') : '';
  };
}

/**
 * Some positions have no answer on the server although everything was sent: offer them again; after several rounds of
 * that, give a code instead of asking on and on. Answers that were refused are offered as a file.
 *
 * @param {HTMLElement} display
 * @param {object} state
 * @param {number} state.count answers that are missing
 * @param {object[]} state.refused answers that the server would not take, as they were sent
 * @param {boolean} state.stuck whether asking again has been tried often enough
 */
export function missingScreen(display, { count, refused, stuck }) {
  const heading = element('h1', {}, say(stuck ? 'problem_title' : 'missing_title'));
  const file = refused.length ? downloadLink(refused) : null;
  const hint = !stuck && file ? element('p', {}, say('missing_stuck')) : null;
  const stuckText = file ? 'problem_text' : 'problem_text_no_file';
  display.replaceChildren(
    element(
      'section',
      { class: 'screen' },
      heading,
      element('p', {}, say(stuck ? stuckText : 'missing_text', { count })),
      hint,
      element(
        'div',
        { class: 'actions' },
        button(say('give_again'), () => window.location.reload()),
        file,
        problemLink(),
      ),
    ),
  );
  focusOn(heading);
}

function downloadLink(answers) {
  const blob = new Blob([JSON.stringify(answers, null, 1)], { type: 'application/json' });
  return element(
    'a',
    { class: 'button', href: URL.createObjectURL(blob), download: 'answers.json' },
    say('download'),
  );
}

/** A page that ends here: heading and one paragraph. */
export function endScreen(display, title, text) {
  const heading = element('h1', {}, title);
  display.replaceChildren(element('section', { class: 'screen' }, heading, element('p', {}, text)));
  focusOn(heading);
}
