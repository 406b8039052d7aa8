/**
 * What comes before the first trial: for each kind of controls instructions, a worked example and practice, then the
 * comprehension check over all of them, round after round.
 */

import { escapeHtml, focusOn } from './dom.js';
import { say } from './messages.js';
import { Coach, workedExample } from './practice.js';
import { readScreen } from './screens.js';
import { once, page, paragraph, pluginOf, question, screen } from './steps.js';

const { jsPsychInstructions, jsPsychSurveyMultiChoice } = globalThis;

/** Instructions, practice and questions, round after round until the answers are right. */
export function lessons(context) {
  const { config, plan, opening } = context;
  const questions = config.texts.comprehension ?? [];
  const limit = config.flow.max_comprehension_rounds;
  let round = plan.comprehension_rounds ?? 0;
  let wrong = [];
  const taught = kindsOfControls(context).flatMap((kind) => [
    ...instructions(context, kind),
    {
      timeline: [...example(context, kind), ...practice(context, kind)],
      conditional_function: () => wrong.length === 0,
    },
  ]);
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
      timeline: [mistakes, ...taught, ...(questions.length ? [check] : [])],
      loop_function: () => wrong.length > 0 && round < limit,
    },
    { timeline: [failed], conditional_function: () => wrong.length > 0 },
  ];
}

/** Instructions, examples and practice, for somebody who asks for them. */
export const taughtAgain = (context) =>
  kindsOfControls(context).flatMap((kind) => [
    ...instructions(context, kind),
    ...example(context, kind),
    ...practice(context, kind),
  ]);

/**
 * Each kind of controls: its first way, the pages of instructions that no kind before it has, whether its plugin is new,
 * and whether it is the last that is taught.
 */
function kindsOfControls({ config }) {
  const firsts = once(config.ways.map(({ lesson }) => config.ways[lesson]));
  const read = new Set();
  return firsts.map((way, index) => {
    const ways = config.ways.filter(({ lesson }) => config.ways[lesson] === way);
    const pages = once(ways.flatMap(({ instructions }) => instructions)).filter((html) => !read.has(html));
    pages.forEach((html) => read.add(html));
    const isNew = firsts.findIndex(({ plugin }) => plugin === way.plugin) === index;
    return { way, pages, isNew, last: index === firsts.length - 1 };
  });
}

/** The instructions of one kind of controls and, after the last, what is paid for, if anything. */
function instructions({ config, jsPsych, opening }, { pages: told, last }) {
  const rules = last ? once(config.ways.map((way) => way.bonus)) : [];
  const bonus = rules.map((rule) => `<h1>${escapeHtml(say('bonus_title'))}</h1>${rule}`);
  const pages = [...told, ...bonus];
  if (!pages.length) return [];
  const focus = () => focusOn(jsPsych.getDisplayElement().querySelector('h1, h2, h3, p'));
  return [
    {
      type: jsPsychInstructions,
      pages: pages.map((html) => `<div class="reading">${html}</div>`),
      show_clickable_nav: true,
      // Arrow keys move sliders here; pages are turned by buttons, which the keyboard reaches too.
      allow_keys: false,
      show_page_number: true,
      page_label: say('page'),
      button_label_next: say('next'),
      button_label_previous: say('back'),
      on_load: focus,
      on_page_change: focus,
      on_finish: ({ view_history: seen }) => {
        const order = seen.map(({ page_index }) => ({ page_index }));
        opening.event('instructions', { pages: opening.timing ? seen : order });
      },
    },
  ];
}

const examplesOf = ({ config, examples }, way) => examples.filter((one) => config.ways[one.way] === way);

/** How an answer looks, where the plugin can show it. */
function example(context, { way, isNew }) {
  const { jsPsych } = context;
  const [chosen] = examplesOf(context, way);
  const plugin = pluginOf(context, way);
  if (!isNew || !plugin.example || !chosen) return [];
  return [
    screen(() => {
      const asked = { ...question(context, chosen.params, way), pictures: chosen.pictures };
      const content = workedExample(asked, plugin.example(asked));
      return readScreen(jsPsych.getDisplayElement(), content, say('next'));
    }),
  ];
}

/** One trial with the real controls on an example picture. None without an example. */
function practice(context, { way }) {
  const { jsPsych, opening } = context;
  const examples = examplesOf(context, way);
  const chosen = examples[1] ?? examples[0];
  if (!chosen) return [];
  // A new one each time: the instructions may be read again.
  let coach;
  return [
    {
      ...question(context, chosen.params, way),
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
