/**
 * A trial as its person saw it, for researchers: the same plugin, pictures, sides, words and display, worked by what
 * was recorded. It has no token, so nothing that is done here can become an answer.
 */

import { element } from './dom.js';
import { useMessages } from './messages.js';
import { loadPicture, Preloader } from './preload.js';
import { replay } from './replaying.js';

const { ways, trial, messages, direction, timing, next_url: next } = JSON.parse(
  document.getElementById('config').textContent,
);
const stage = document.getElementById('replay');

useMessages(messages, direction);
start().catch((error) => {
  console.error(error);
  stage.replaceChildren(element('p', { class: 'error' }, stage.dataset.broken));
});

async function start() {
  const way = ways[trial.way];
  const [{ default: Plugin }, pictures] = await Promise.all([import(way.plugin), picturesOf(trial.images)]);
  // Where the study left the size to the window, it was the person's window that decided it.
  const enlargement = trial.answer?.payload.enlargement ?? way.display.enlargement;
  const display = { ...way.display, enlargement };
  const values = { ...way, display, pictures, timing, shown: trial.params, title: trial.title, button_label: '' };
  stage.replaceChildren();
  stage.removeAttribute('aria-busy');
  const finished = () => {
    if (next) window.location.assign(next);
  };
  await replay({ Plugin, stage, values, answer: trial.answer, finished });
  stage.dataset.replayed = 'yes';
}

async function picturesOf(urls) {
  // In the place of the participant's API: pictures come by the researcher's own right.
  const image = async (url) => {
    const reply = await fetch(url);
    if (!reply.ok) throw new Error(`The picture ${url} was refused (${reply.status}).`);
    return reply.blob();
  };
  const pictures = new Preloader({ urls, load: (url) => loadPicture({ image }, url) });
  if (!(await pictures.run())) throw new Error('The pictures could not be loaded.');
  return urls.map((url) => pictures.picture(url));
}
