/**
 * Starts the participant's trials page: takes the plan from the server, sends what an earlier page left,
 * runs the timeline, and hands over to the next page once the server holds every answer.
 */

import { Api } from './api.js';
import { button, element } from './dom.js';
import { say, useMessages } from './messages.js';
import { Outbox, pause } from './outbox.js';
import { loadPicture, Preloader } from './preload.js';
import { endScreen, finishScreen, missingScreen, reloadCover } from './screens.js';
import { Opening } from './opening.js';
import { showStatus } from './status.js';
import { openStorage } from './storage.js';
import { buildTimeline } from './timeline.js';
import { observe, oneWindow } from './watch.js';

const LEFTOVERS_MS = 5_000;
/** How often the server may miss answers before a file is offered instead of asking for them once more. */
const ROUNDS = 3;
const MISSED = 'rounds-missed';
const config = JSON.parse(document.getElementById('config').textContent);
const stage = document.getElementById('stage');
const key = `hm:${config.study.slug}:${config.participation}`;
const api = new Api({ base: new URL(config.api, window.location.href).href, token: config.token });

useMessages(config.messages, config.direction);
start().catch(refused);

/** A call that the page cannot do without failed for good. Opening the page again is always safe. */
function refused(error) {
  // For whoever looks into it: its words are not the study's language.
  console.error(error);
  if (error.unauthorised) reloadCover(say('expired_title'), say('expired'));
  else if ([404, 409, 410].includes(error.status)) reloadCover(say('closed_title'), say('closed'));
  else reloadCover(say('broken_title'), say('broken'), say('try_again'));
}

async function start() {
  const storage = await openStorage({ idb: globalThis.idbKeyval }, `${key}:`);
  const outbox = new Outbox({ storage, send: sender(config.epoch) });
  const opening = new Opening({ outbox, storage, timing: config.timing });
  guard(outbox, opening);
  await outbox.open();
  await sendLeftovers(outbox);

  // Taken before the plan is asked for: one that arrives meanwhile may be in neither.
  const left = outbox.unsent();
  const plan = await api.plan();
  const given = new Set(left.map(({ position }) => position));
  plan.trials = plan.trials.filter(({ position }) => !given.has(position));
  plan.answered = plan.total - plan.trials.length;
  const saved = showStatus(
    { text: document.getElementById('saved'), bar: document.getElementById('progress'), outbox },
    { answered: plan.answered - outbox.unsent().length, total: plan.total },
  );
  await opening.resume(plan, left);

  if (!plan.comprehension_passed && plan.comprehension_rounds >= config.flow.max_comprehension_rounds)
    return failed(outbox);
  const pictures = new Preloader({
    urls: plan.trials.flatMap(({ images }) => images),
    load: (url) => loadPicture(api, url),
  });
  const [plugins, examples] = await Promise.all([
    Promise.all(config.ways.map(async ({ plugin }) => (await import(plugin)).default)),
    loadExamples(plan.examples),
  ]);
  pictures.run();
  await run({ plan, plugins, pictures, examples, outbox, opening, storage, saved });
}

/** The plan should know what an earlier page left unsent. What cannot be sent soon goes on waiting meanwhile. */
async function sendLeftovers(outbox) {
  outbox.wake();
  await Promise.race([outbox.drained(), new Promise((resolve) => setTimeout(resolve, LEFTOVERS_MS))]);
}

function sender(epoch) {
  const calls = {
    responses: (bodies) => api.saveResponses(epoch, bodies),
    events: (bodies) => api.saveEvents(bodies),
  };
  return (kind, bodies) => calls[kind](bodies);
}

/** The few pictures of the instructions. They are needed at once, so they are not left to the preload screen. */
async function loadExamples(wanted) {
  const pictures = new Preloader({
    urls: wanted.flatMap(({ images }) => images),
    load: (url) => loadPicture(api, url),
  });
  if (!(await pictures.run())) throw new Error('The pictures of the instructions could not be loaded.');
  return wanted.map(({ images, params, way }) => ({
    params,
    way,
    pictures: images.map((url) => pictures.picture(url)),
  }));
}

async function run(parts) {
  const jsPsych = globalThis.initJsPsych({
    display_element: stage,
    // jsPsych makes its container a tab stop; ours holds controls that are tab stops themselves.
    on_trial_start: () => (stage.tabIndex = -1),
  });
  const finish = () => finishing({ ...parts, display: jsPsych.getDisplayElement() }).catch(refused);
  const timeline = buildTimeline({
    ...parts,
    jsPsych,
    config,
    failed: () => failed(parts.outbox),
    finish,
  });
  stage.replaceChildren();
  stage.removeAttribute('aria-busy');
  await jsPsych.run(timeline);
}

/** Wait for the last answers, then ask the server whether it has all of them. Ends by leaving the page. */
async function finishing({ display, outbox, opening, storage, saved }) {
  const tell = finishScreen(display, outbox);
  const follow = () => tell(outbox.failing);
  outbox.addEventListener('change', follow);
  follow();
  if (!(await outbox.drained())) return new Promise(() => {});
  for (let failures = 1; ; failures += 1) {
    try {
      const { next_url: next } = await api.complete(saved());
      await storage.clear().catch(() => {});
      window.location.assign(next ?? config.next_url);
      return new Promise(() => {});
    } catch (error) {
      if (error.body?.missing_positions) {
        await missed({ display, outbox, opening, storage, positions: error.body.missing_positions });
        return new Promise(() => {});
      }
      if (!error.retryable) throw error;
      tell(true);
      await new Promise((resolve) => setTimeout(resolve, pause(failures)));
    }
  }
}

/** The server lacks answers that this browser believed to be saved. */
async function missed({ display, outbox, opening, storage, positions }) {
  const rounds = ((await storage.all()).get(MISSED)?.rounds ?? 0) + 1;
  await storage.put(MISSED, { rounds }).catch(() => {});
  const stuck = rounds >= ROUNDS;
  if (stuck) opening.event('data_problem', { positions: positions.slice(0, 50), rounds });
  missingScreen(display, { count: positions.length, refused: outbox.setAside, stuck });
}

/** The comprehension check was not passed: the server knows it from the last event, and its page leads back. */
function failed(outbox) {
  document.getElementById('saved').closest('.saving').hidden = true;
  stage.removeAttribute('aria-busy');
  endScreen(stage, say('check_failed_title'), say('check_failed'));
  const leave = () => outbox.drained().then(() => window.location.reload());
  stage.append(element('div', { class: 'actions' }, button(say('go_on'), leave)));
}

/** React to what ends or interrupts the page: other windows, the server's refusals, errors, hiding. */
function guard(outbox, opening) {
  let covered = false;
  const once = (show) => {
    if (covered) return;
    covered = true;
    show();
  };
  const elsewhere = () =>
    once(() => reloadCover(say('elsewhere_title'), say('elsewhere'), say('go_on_here')));
  const stopped = {
    closed: () => once(() => reloadCover(say('closed_title'), say('closed'))),
    unauthorised: () =>
      once(() => reloadCover(say('expired_title'), say(outbox.durable ? 'expired' : 'expired_memory'))),
  };
  outbox.addEventListener('stopped', ({ detail }) => stopped[detail]());
  outbox.addEventListener('result', ({ detail }) => detail.stale_epoch && elsewhere());
  outbox.addEventListener('refused', ({ detail: { item, result } }) => {
    opening.event('save_refused', { id: item.id, status: result.status, message: result.message ?? '' });
  });
  oneWindow(key, config.epoch, elsewhere);
  observe({ outbox, opening });
}
