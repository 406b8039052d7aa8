/**
 * The jsPsych timeline of one opening of the page: instructions, worked example, practice, comprehension
 * check, loading, trials in the stored order with breaks, and the end. It is built from the server's plan, so
 * a resumed page is the same function with fewer trials. Nothing in it waits for the network inside a trial.
 */

import { escapeHtml, focusOn } from './dom.js';
import { say } from './messages.js';
import { Coach, workedExample } from './practice.js';
import { prepare } from './render.js';
import { holdScreen, preloadScreen, readScreen } from './screens.js';

const { jsPsychInstructions, jsPsychSurveyMultiChoice, jsPsychCallFunction, jsPsychHtmlButtonResponse } =
  globalThis;

/**
 * @param {object} context
 * @param {object} context.jsPsych
 * @param {Function} context.plugin of the study's interface
 * @param {object} context.config from the page
 * @param {object} context.plan from the server; `trials` without those that wait in the outbox
 * @param {import('./preload.js').Preloader} context.pictures of the trials
 * @param {object[]} context.examples from the reserved pool: `{pictures, params}`
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
    ...plan.trials.flatMap((planned) => [...rest(context, planned), hold(context), trial(context, planned)]),
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

/** Instructions, practice and questions, round after round until the answers are right. */
function lessons(context) {
  const { config, plan, opening } = context;
  const questions = config.texts.comprehension ?? [];
  const limit = config.flow.max_comprehension_rounds;
  let round = plan.comprehension_rounds ?? 0;
  let wrong = [];
  const first = {
    timeline: [...example(context), ...practice(context)],
    conditional_function: () => wrong.length === 0,
  };
  const mistakes = {
    timeline: [page(say('check_title'), () => mistakesHtml(wrong, limit - round), [say('read_again')])],
    conditional_function: () => wrong.length > 0,
  };
  const check = {
    ...comprehension(questions),
    on_finish: (data) => {
      round += 1;
      wrong = questions.filter((question, index) => data.response_index[index] !== question.correct);
      opening.event('comprehension', { round, passed: wrong.length === 0, answers: data.response_index });
    },
  };
  const failed = screen(() => new Promise(() => context.failed()));
  return [
    {
      timeline: [mistakes, ...instructions(context), first, ...(questions.length ? [check] : [])],
      loop_function: () => wrong.length > 0 && round < limit,
    },
    { timeline: [failed], conditional_function: () => wrong.length > 0 },
  ];
}

/** Somebody comes back: say where they are and, after a long time, how the controls work. */
function welcome(context) {
  const { config, plan } = context;
  const { answered, total } = plan;
  const text = answered ? say('welcome_text', { answered, total }) : say('start_text', { total });
  const reminder = plan.long_gap ? config.texts.short_instructions : '';
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
    {
      timeline: [...instructions(context), ...example(context), ...practice(context)],
      conditional_function: () => again,
    },
  ];
}

/** The study's instructions, and what is paid for, if anything. */
function instructions({ config, jsPsych, opening }) {
  const { texts } = config;
  const bonus = texts.bonus ? [`<h1>${escapeHtml(say('bonus_title'))}</h1>${texts.bonus}`] : [];
  const focus = () => focusOn(jsPsych.getDisplayElement().querySelector('h1, h2, h3, p'));
  return [
    {
      type: jsPsychInstructions,
      pages: [...texts.instructions, ...bonus].map((html) => `<div class="reading">${html}</div>`),
      show_clickable_nav: true,
      // Arrow keys move sliders here; pages are turned by buttons, which the keyboard reaches too.
      allow_keys: false,
      show_page_number: true,
      page_label: say('page'),
      button_label_next: say('next'),
      button_label_previous: say('back'),
      on_load: focus,
      on_page_change: focus,
      on_finish: ({ view_history: pages }) => {
        const order = pages.map(({ page_index }) => ({ page_index }));
        opening.event('instructions', { pages: opening.timing ? pages : order });
      },
    },
  ];
}

/** How an answer looks, where the plugin can show it. */
function example(context) {
  const { examples, jsPsych, plugin } = context;
  if (!plugin.example || !examples.length) return [];
  const { pictures, params } = examples[0];
  return [
    screen(() => {
      const asked = { ...question(context, params), pictures };
      const content = workedExample(asked, plugin.example(asked));
      return readScreen(jsPsych.getDisplayElement(), content, say('next'));
    }),
  ];
}

/** One trial with the real controls on an example picture. None without an example. */
function practice(context) {
  const { examples, jsPsych, opening } = context;
  const chosen = examples[1] ?? examples[0];
  if (!chosen) return [];
  // A new one each time: the instructions may be read again.
  let coach;
  return [
    {
      ...question(context, chosen.params),
      pictures: () => chosen.pictures,
      title: say('practice_title'),
      on_start: () => (coach = new Coach()),
      on_reading: (sentences) => coach.read(sentences),
      on_load: () => jsPsych.getDisplayElement().querySelector('.trial-end').before(coach.node),
      on_finish: ({ rt: rt_ms, payload: { input_method } }) =>
        opening.event('practice', { input_method, ...(opening.timing && { rt_ms }) }),
    },
  ];
}

function comprehension(questions) {
  return {
    type: jsPsychSurveyMultiChoice,
    preamble: `<h1>${escapeHtml(say('check_title'))}</h1><p>${escapeHtml(say('check_lead'))}</p>`,
    questions: questions.map(({ prompt, options }) => ({
      prompt: escapeHtml(prompt),
      options: options.map(escapeHtml),
      required: true,
    })),
    button_label: say('next'),
    on_load: () => {
      // The plugin's questions are paragraphs; a radio group needs its question as its name.
      document.querySelectorAll('.jspsych-survey-multi-choice-question').forEach((group) => {
        const prompt = group.querySelector('p');
        prompt.id = `${group.id}-prompt`;
        group.setAttribute('role', 'radiogroup');
        group.setAttribute('aria-labelledby', prompt.id);
      });
      focusOn(document.querySelector('#jspsych-survey-multi-choice-preamble h1'));
    },
  };
}

function mistakesHtml(wrong, rounds) {
  const items = wrong.map(
    ({ prompt, explain = '' }) => `<li><strong>${escapeHtml(prompt)}</strong> ${escapeHtml(explain)}</li>`,
  );
  return `${paragraph(say('check_wrong', { rounds }))}<ul>${items.join('')}</ul>`;
}

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

/** The number under which somebody sees a trial: answered ones come first, whatever their positions. */
function numberOf({ total, trials }, planned) {
  return total - trials.length + trials.indexOf(planned) + 1;
}

function trial(context, planned) {
  const { plan, pictures, opening } = context;
  const loaded = ({ images }) => images.map((url) => pictures.picture(url));
  const next = plan.trials[plan.trials.indexOf(planned) + 1];
  return {
    ...question(context, planned.params),
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

/** What every plugin is given, whatever it asks about. */
function question({ config, plugin }, params) {
  return {
    type: plugin,
    shown: params,
    person: config.person,
    options: config.options,
    wording: config.texts.wording,
    display: config.display,
    timing: config.timing,
    button_label: say('next'),
  };
}

const paragraph = (text) => `<p>${escapeHtml(text)}</p>`;

/** A heading, HTML (or a function that makes it when the page is shown) and buttons. */
function page(title, html, choices) {
  const body = () => (typeof html === 'function' ? html() : html);
  return {
    type: jsPsychHtmlButtonResponse,
    stimulus: () => `<section class="screen"><h1>${escapeHtml(title)}</h1>${body()}</section>`,
    choices,
    button_html: (choice, index) => {
      const look = index ? 'button' : 'button button-primary';
      return `<button type="button" class="${look}">${escapeHtml(choice)}</button>`;
    },
    on_load: () => focusOn(document.querySelector('.screen h1')),
  };
}

/** A screen of our own that ends when its promise does. */
function screen(show) {
  return {
    type: jsPsychCallFunction,
    async: true,
    func: (done) => {
      Promise.resolve(show()).then(() => done());
    },
  };
}
