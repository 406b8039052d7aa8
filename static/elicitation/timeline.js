/**
 * The jsPsych timeline of one opening of the page: instructions, practice, comprehension check, loading,
 * trials in the stored order, and the end. It is built from the server's plan, so a resumed page is
 * the same function with fewer trials. Nothing in it waits for the network inside a trial.
 */

import { escapeHtml, focusOn } from './dom.js';
import { messages } from './messages.js';
import MixtureSlidersPlugin from './plugins/mixture-sliders.js';
import { Coach, examplePage } from './practice.js';
import { holdScreen, preloadScreen } from './screens.js';

const { jsPsychInstructions, jsPsychSurveyMultiChoice, jsPsychCallFunction, jsPsychHtmlButtonResponse } =
  globalThis;

/** Interface → jsPsych plugin: the one line that another way of asking adds here. */
export const PLUGINS = { 'mixture-sliders': MixtureSlidersPlugin };

const EXAMPLE_PX = 160;

/**
 * @param {object} context
 * @param {object} context.jsPsych
 * @param {object} context.config from the page
 * @param {object} context.plan from the server; `trials` without those that wait in the outbox
 * @param {import('./preload.js').Preloader} context.pictures of the trials
 * @param {object[]} context.examples pictures outside the trials: `{picture, left_class, right_class}`
 * @param {import('./outbox.js').Outbox} context.outbox
 * @param {import('./visit.js').Visit} context.visit
 * @param {() => void} context.failed called when the last comprehension round went wrong
 * @param {(done: () => void) => void} context.finish called after the last trial
 * @returns {object[]}
 */
export function buildTimeline(context) {
  const { plan } = context;
  const begin = plan.comprehension_passed ? welcome(context) : lessons(context);
  return [
    ...begin,
    screen(() => loading(context)),
    ...(plan.comprehension_passed
      ? []
      : [page(messages.startTitle, messages.startText(plan.total), [messages.start])]),
    ...plan.trials.flatMap((planned) => [hold(context), trial(context, planned)]),
    screen(() => context.finish()),
  ];
}

async function loading({ jsPsych, pictures, visit }) {
  const started = performance.now();
  const report = () => visit.event('preload_fail', { urls: pictures.failed.map(({ url }) => url) });
  await preloadScreen(jsPsych.getDisplayElement(), pictures, report);
  const ms = Math.round(performance.now() - started);
  visit.event('preload', { files: pictures.total, bytes: pictures.bytes, ms, retried: pictures.retried });
}

/** Instructions, practice and questions, round after round until the answers are right. */
function lessons(context) {
  const { config, plan, visit } = context;
  const questions = config.texts.comprehension ?? [];
  const limit = config.max_comprehension_attempts;
  let round = plan.comprehension_rounds ?? 0;
  let wrong = [];
  const first = { timeline: practice(context), conditional_function: () => wrong.length === 0 };
  const mistakes = {
    timeline: [page(messages.checkTitle, () => mistakesHtml(wrong, limit - round), [messages.checkAgain])],
    conditional_function: () => wrong.length > 0,
  };
  const check = {
    ...comprehension(questions),
    on_finish: (data) => {
      round += 1;
      wrong = questions.filter((question, index) => data.response_index[index] !== question.correct);
      const passed = wrong.length === 0;
      visit.event('comprehension', { round, passed, answers: data.response_index });
    },
  };
  const failed = screen(() => new Promise(() => context.failed()));
  return [
    {
      timeline: [mistakes, instructions(context), first, ...(questions.length ? [check] : [])],
      loop_function: () => wrong.length > 0 && round < limit,
    },
    { timeline: [failed], conditional_function: () => wrong.length > 0 },
  ];
}

/** Somebody comes back: say where they are; the instructions are one button away. */
function welcome(context) {
  const { plan } = context;
  const title = plan.answered ? messages.welcomeTitle : messages.startTitle;
  const text = plan.answered
    ? messages.welcomeText(plan.answered, plan.total)
    : messages.startText(plan.total);
  let again = false;
  const greeting = {
    ...page(title, text, [messages.goOn, messages.readAgain]),
    on_finish: (data) => (again = data.response === 1),
  };
  return [
    greeting,
    { timeline: [instructions(context), ...practice(context)], conditional_function: () => again },
  ];
}

function instructions({ config, examples, jsPsych, visit }) {
  const pages = [...config.texts.instructions];
  if (examples.length) {
    const { picture, ...names } = examples[0];
    const times = Math.max(1, Math.floor(EXAMPLE_PX / picture.width));
    pages.push(examplePage(picture, names, times));
  }
  const focus = () => focusOn(jsPsych.getDisplayElement().querySelector('h1, h2, h3, p'));
  return {
    type: jsPsychInstructions,
    pages: pages.map((html) => `<div class="reading">${html}</div>`),
    show_clickable_nav: true,
    // Arrow keys move sliders here; pages are turned by buttons, which the keyboard reaches too.
    allow_keys: false,
    show_page_number: true,
    button_label_next: messages.next,
    button_label_previous: messages.back,
    on_load: focus,
    on_page_change: focus,
    on_finish: (data) => visit.event('instructions', { pages: data.view_history }),
  };
}

/** One trial with the real controls on an example picture. None without an example. */
function practice({ config, examples, jsPsych, visit }) {
  const example = examples[1] ?? examples[0];
  if (!example) return [];
  const { picture, ...names } = example;
  const coach = new Coach(names);
  return [
    {
      ...question(config, picture, names),
      title: messages.practiceTitle,
      on_reading: (reading) => coach.read(reading),
      on_load: () => jsPsych.getDisplayElement().querySelector('.ms-end').before(coach.node),
      on_finish: ({ rt: rt_ms, cannot_tell, n_moves, input_method }) =>
        visit.event('practice', { rt_ms, cannot_tell, n_moves, input_method }),
    },
  ];
}

function comprehension(questions) {
  return {
    type: jsPsychSurveyMultiChoice,
    preamble: `<h1>${escapeHtml(messages.checkTitle)}</h1><p>${escapeHtml(messages.checkLead)}</p>`,
    questions: questions.map(({ prompt, options }) => ({
      prompt: escapeHtml(prompt),
      options: options.map(escapeHtml),
      required: true,
    })),
    button_label: messages.next,
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

function mistakesHtml(wrong, roundsLeft) {
  const items = wrong.map(
    ({ prompt, explain = '' }) => `<li><strong>${escapeHtml(prompt)}</strong> ${escapeHtml(explain)}</li>`,
  );
  return `<p>${escapeHtml(messages.checkWrong(roundsLeft))}</p><ul>${items.join('')}</ul>`;
}

function hold({ outbox }) {
  return { timeline: [screen(() => holdScreen(outbox))], conditional_function: () => outbox.holding };
}

function trial({ config, plan, pictures, visit }, planned) {
  const number = plan.total - plan.trials.length + plan.trials.indexOf(planned) + 1;
  // Functions, because the pictures arrive after the timeline is built.
  const later = (name) => () => pictures.picture(planned.image)[name];
  const picture = { src: later('src'), width: later('width'), height: later('height') };
  return {
    ...question(config, picture, planned.params),
    title: messages.picture(number, plan.total),
    on_start: () => visit.begin(planned),
    on_finish: (data) => visit.answer(planned, data),
  };
}

function question(config, { src, width, height }, { left_class, right_class }) {
  const { question: text, confidence_question, perspective } = config.texts;
  return {
    type: PLUGINS[config.plugin],
    src,
    width,
    height,
    enlargement: config.display?.enlargement ?? null,
    left_class,
    right_class,
    perspective: messages.perspective[perspective] ?? null,
    question: text,
    confidence_question,
  };
}

/** A heading, a text (or a function that makes its HTML when the page is shown) and buttons. */
function page(title, text, choices) {
  const body = () => (typeof text === 'function' ? text() : `<p>${escapeHtml(text)}</p>`);
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
