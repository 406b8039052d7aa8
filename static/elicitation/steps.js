/**
 * What a timeline is put together from: pages with buttons, screens of our own, and the question that a plugin asks.
 */

import { escapeHtml, focusOn } from './dom.js';
import { say } from './messages.js';

const { jsPsychCallFunction, jsPsychHtmlButtonResponse } = globalThis;

/** Each of `values` once, without empty ones, in their order. */
export const once = (values) => [...new Set(values)].filter(Boolean);

export const paragraph = (text) => `<p>${escapeHtml(text)}</p>`;

/** A heading, HTML (or a function that makes it when the page is shown) and buttons. */
export function page(title, html, choices) {
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
export function screen(show) {
  return {
    type: jsPsychCallFunction,
    async: true,
    func: (done) => {
      Promise.resolve(show()).then(() => done());
    },
  };
}

/** The plugin of one of the person's ways of asking. */
export const pluginOf = ({ config, plugins }, way) => plugins[config.ways.indexOf(way)];

/** What every plugin is given, whatever it asks about. */
export function question(context, params, way) {
  const { config } = context;
  return {
    type: pluginOf(context, way),
    shown: params,
    person: way.person,
    options: way.options,
    wording: way.wording,
    display: way.display,
    timing: config.timing,
    button_label: say('next'),
  };
}
