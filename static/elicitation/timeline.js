/**
 * The jsPsych timeline of one opening of the page: instructions, worked example, practice, comprehension
 * check, loading, trials in the stored order with breaks, and the end. It is built from the server's plan, so
 * a resumed page is the same function with fewer trials. Nothing in it waits for the network inside a trial.
 *
 * Where a study compares ways of asking within a person, there is a lesson for each kind of controls, and each part of
 * the trials that is asked otherwise than the one before begins with a page that says so.
 */

import { lessons, taughtAgain } from './lessons.js';
import { say } from './messages.js';
import { prepare } from './render.js';
import { holdScreen, preloadScreen } from './screens.js';
import { once, page, paragraph, question, screen } from './steps.js';

/**
 * @param {object} context
 * @param {object} context.jsPsych
 * @param {Function[]} context.plugins of the person's ways of asking, in the order of `config.ways`
 * @param {object} context.config from the page
 * @param {object} context.plan from the server; `trials` without those that wait in the outbox
 * @param {import('./preload.js').Preloader} context.pictures of the trials
 * @param {object[]} context.examples from the reserved pool: `{pictures, params, way}`
 * @param {import('./outbox.js').Outbox} context.outbox
 * @param {import('./opening.js').Opening} context.opening
 * @param {() => void} context.failed called when the last comprehension round went wrong
 * @param {(done: () => void) => void} context.finish called after the last trial
 * @returns {object[]}
 */
export function buildTimeline(context) {
  const { plan } = context;
  const first = plan.trials.length > 0;
  return [
    ...(plan.comprehension_passed ? welcome(context) : lessons(context)),
    screen(() => loading(context)),
    ...(plan.comprehension_passed || !first ? [] : [startPage(plan)]),
    ...plan.trials.flatMap((planned) => [
      ...rest(context, planned),
      ...part(context, planned),
      hold(context),
      trial(context, planned),
    ]),
    screen(() => context.finish()),
  ];
}

const startPage = ({ total }) =>
  page(say('start_title'), paragraph(say('start_text', { total })), [say('start')]);

async function loading({ jsPsych, plan, pictures, opening }) {
  const started = performance.now();
  const numbersOf = (urls) =>
    plan.trials
      .filter(({ images }) => images.some((url) => urls.includes(url)))
      .map((planned) => numberOf(plan, planned));
  const onFailure = () => opening.event('preload_fail', { urls: pictures.failed.map(({ url }) => url) });
  await preloadScreen(jsPsych.getDisplayElement(), pictures, { numbersOf, onFailure });
  const ms = Math.round(performance.now() - started);
  opening.event('preload', { files: pictures.total, bytes: pictures.bytes, ms, retried: pictures.retried });
}

/** Somebody comes back: say where they are and, after a long time, how the controls work. */
function welcome(context) {
  const { config, plan } = context;
  const { answered, total } = plan;
  const text = answered ? say('welcome_text', { answered, total }) : say('start_text', { total });
  // The page of a part says it all anyway.
  const reminder = plan.long_gap && !hasParts(config) ? reminders(waysOf(context, plan.trials)) : '';
  let again = false;
  const greeting = {
    ...page(say(answered ? 'welcome_title' : 'start_title'), paragraph(text) + reminder, [
      say('go_on'),
      say('read_again'),
    ]),
    on_finish: (data) => (again = data.response === 1),
  };
  return [
    greeting,
    { timeline: taughtAgain(context), conditional_function: () => again },
  ];
}

/** The ways of asking of some trials, each once. */
const waysOf = ({ config }, trials) => once(trials.map(({ way }) => config.ways[way]));

const reminders = (ways) => once(ways.map((way) => way.short_instructions)).join('');

function hold({ outbox }) {
  return { timeline: [screen(() => holdScreen(outbox))], conditional_function: () => outbox.holding };
}

/** A break after every so many trials, but not right after somebody came back. */
function rest({ config, plan, opening }, planned) {
  const answered = numberOf(plan, planned) - 1;
  const every = config.flow.break_every;
  if (!every || answered % every || planned === plan.trials[0]) return [];
  const text = paragraph(say('break_text', { answered, total: plan.total }));
  return [
    {
      ...page(say('break_title'), text + (config.texts.break ?? ''), [say('go_on')]),
      on_finish: ({ rt: rt_ms }) => opening.event('break', { answered, ...(opening.timing && { rt_ms }) }),
    },
  ];
}

const hasParts = ({ ways }) => new Set(ways.map(({ block }) => block)).size > 1;

/** Before a part that is asked otherwise than the trials before it: how, in short, and what is paid for. */
function part(context, planned) {
  const { config, plan } = context;
  const { block } = config.ways[planned.way];
  const before = plan.trials[plan.trials.indexOf(planned) - 1];
  if (!hasParts(config) || (before && config.ways[before.way].block === block)) return [];
  const ways = config.ways.filter((way) => way.block === block);
  const perspectives = once(ways.map(({ wording }) => wording.perspective)).map(paragraph);
  const bonus = once(ways.map((way) => way.bonus));
  const html = [reminders(ways), ...perspectives, ...bonus].join('');
  return [page(say('part_title'), html, [say('go_on')])];
}

/** The number under which somebody sees a trial: answered ones come first, whatever their positions. */
function numberOf({ total, trials }, planned) {
  return total - trials.length + trials.indexOf(planned) + 1;
}

function trial(context, planned) {
  const { plan, pictures, opening } = context;
  const loaded = ({ images }) => images.map((url) => pictures.picture(url));
  const next = plan.trials[plan.trials.indexOf(planned) + 1];
  return {
    ...question(context, planned.params, context.config.ways[planned.way]),
    // A function, because the pictures arrive after the timeline is built.
    pictures: () => loaded(planned),
    title: say(planned.images.length > 1 ? 'round' : 'picture', {
      number: numberOf(plan, planned),
      total: plan.total,
    }),
    on_start: () => opening.begin(planned),
    on_load: () => prepare([...loaded(planned), ...(next ? loaded(next) : [])]),
    on_finish: (data) => opening.answer(planned, data),
  };
}
