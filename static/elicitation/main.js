/**
 * Starts the participant's trials page: takes the plan from the server, sends what an earlier page left,
 * runs the timeline, and hands over to the next page once the server holds every answer.
 */

import { Api } from './api.js';
import { messages } from './messages.js';
import { Outbox, pause } from './outbox.js';
import { loadPicture, Preloader } from './preload.js';
import { endScreen, finishScreen, missingScreen, reloadCover } from './screens.js';
import { Visit } from './visit.js';
import { showStatus } from './status.js';
import { openStorage } from './storage.js';
import { buildTimeline } from './timeline.js';
import { observe, oneWindow } from './watch.js';

const LEFTOVERS_MS = 5_000;
const config = JSON.parse(document.getElementById('config').textContent);
const stage = document.getElementById('stage');
const key = `hm:${config.study.slug}:${config.participation}`;
const api = new Api({ base: new URL(config.api, window.location.href).href, token: config.token });

start().catch(refused);

/** A call that the page cannot do without failed for good. Opening the page again is always safe. */
function refused(error) {
  if (error.unauthorised) reloadCover(messages.expiredTitle, messages.expired);
  else if ([404, 409, 410].includes(error.status)) reloadCover(messages.closedTitle, messages.closed);
  else reloadCover(messages.brokenTitle, messages.broken(error.message), messages.tryAgain);
}

async function start() {
  const storage = await openStorage(globalThis.idbKeyval, `${key}:`);
  const outbox = new Outbox({ storage, send: sender(config.epoch) });
  const visit = new Visit({ outbox, storage });
  guard(outbox, visit);
  await outbox.open();
  await sendLeftovers(outbox);

  const plan = await api.plan();
  const waiting = new Set(outbox.unsent().map(({ position }) => position));
  plan.trials = plan.trials.filter(({ position }) => !waiting.has(position));
  plan.answered = plan.total - plan.trials.length;
  const saved = showStatus(
    { text: document.getElementById('saved'), bar: document.getElementById('progress'), outbox },
    { answered: plan.answered - waiting.size, total: plan.total },
  );
  await visit.resume(plan);

  if (!plan.comprehension_passed && plan.comprehension_rounds >= config.max_comprehension_attempts)
    return failed();
  const pictures = new Preloader({
    urls: plan.trials.map(({ image }) => image),
    load: (url) => loadPicture(api, url),
  });
  const examples = await loadExamples(plan.examples);
  pictures.run();
  await run({ plan, pictures, examples, outbox, visit, storage, saved });
}

/** The plan should know what an earlier page left unsent. What cannot be sent soon goes on waiting meanwhile. */
async function sendLeftovers(outbox) {
  outbox.wake();
  await Promise.race([outbox.drained(), new Promise((resolve) => setTimeout(resolve, LEFTOVERS_MS))]);
}

function sender(epoch) {
  const calls = {
    responses: (...sent) => api.saveResponses(epoch, ...sent),
    events: (...sent) => api.saveEvents(...sent),
  };
  return (kind, bodies, options) => calls[kind](bodies, options);
}

/** The few pictures of the instructions. They are needed at once, so they are not left to the preload screen. */
async function loadExamples(wanted) {
  const pictures = new Preloader({
    urls: wanted.map(({ url }) => url),
    load: (url) => loadPicture(api, url),
  });
  if (!(await pictures.run())) throw new Error(messages.preloadFailed(pictures.failed.length));
  return wanted.map(({ url, ...names }) => ({ ...names, picture: pictures.picture(url) }));
}

async function run({ plan, pictures, examples, outbox, visit, storage, saved }) {
  const jsPsych = globalThis.initJsPsych({
    display_element: stage,
    // jsPsych makes its container a tab stop; ours holds controls that are tab stops themselves.
    on_trial_start: () => (stage.tabIndex = -1),
  });
  const finish = () =>
    finishing({ display: jsPsych.getDisplayElement(), outbox, storage, saved }).catch(refused);
  const timeline = buildTimeline({
    jsPsych,
    config,
    plan,
    pictures,
    examples,
    outbox,
    visit,
    failed,
    finish,
  });
  stage.replaceChildren();
  stage.removeAttribute('aria-busy');
  await jsPsych.run(timeline);
}

/** Wait for the last answers, then ask the server whether it has all of them. Ends by leaving the page. */
async function finishing({ display, outbox, storage, saved }) {
  const say = finishScreen(display, outbox);
  const follow = () => say(outbox.failing);
  outbox.addEventListener('change', follow);
  follow();
  if (!(await outbox.drained())) return new Promise(() => {});
  for (let failures = 1; ; failures += 1) {
    try {
      const { next_url: next } = await api.complete(saved());
      await storage.clear();
      window.location.assign(next ?? config.next_url);
      return new Promise(() => {});
    } catch (error) {
      if (error.body?.missing_positions) {
        missingScreen(display, error.body.missing_positions.length, outbox.setAside);
        return new Promise(() => {});
      }
      if (!error.retryable) throw error;
      say(true);
      await new Promise((resolve) => setTimeout(resolve, pause(failures)));
    }
  }
}

/** The comprehension check was not passed: the server knows it from the last event. */
function failed() {
  document.getElementById('saved').closest('.saving').hidden = true;
  stage.removeAttribute('aria-busy');
  endScreen(stage, messages.checkFailedTitle, messages.checkFailed);
}

/** React to what ends or interrupts the page: other windows, the server's refusals, errors, hiding. */
function guard(outbox, visit) {
  let covered = false;
  const once = (show) => {
    if (covered) return;
    covered = true;
    show();
  };
  const elsewhere = () =>
    once(() => reloadCover(messages.elsewhereTitle, messages.elsewhere, messages.goOnHere));
  const stopped = {
    closed: () => once(() => reloadCover(messages.closedTitle, messages.closed)),
    unauthorised: () => once(() => reloadCover(messages.expiredTitle, messages.expired)),
  };
  outbox.addEventListener('stopped', ({ detail }) => stopped[detail]());
  outbox.addEventListener('result', ({ detail }) => detail.stale_epoch && elsewhere());
  outbox.addEventListener('refused', ({ detail: { item, result } }) => {
    visit.event('save_refused', { id: item.id, status: result.status, message: result.message ?? '' });
  });
  oneWindow(key, config.epoch, elsewhere);
  observe({ outbox, visit });
}
