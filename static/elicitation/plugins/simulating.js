/**
 * How a plugin answers by itself, for tests and rehearsals: fields that every answer has, the plugin's own, and
 * either no screen at all or its controls worked as a person would.
 */

import { viewport } from '../usage.js';

/**
 * Both modes of jsPsych's simulation: `data-only` hands over a drawn answer, `visual` works the controls to give it.
 *
 * @param {{jsPsych: object, trial: Function}} plugin the running plugin
 * @param {object} trial
 * @param {'data-only'|'visual'} mode
 * @param {{data?: {payload?: object, rt?: number}}} options `data.payload` overrides fields that are drawn
 * @param {() => void} load_callback
 * @param {object} parts
 * @param {(given: object) => object} parts.draw the plugin's fields of an answer, around those that are `given`
 * @param {(display: HTMLElement, payload: object) => void} parts.operate sets the controls to a drawn answer
 */
export function simulate(plugin, trial, mode, options, load_callback, { draw, operate }) {
  const { pluginAPI, randomization } = plugin.jsPsych;
  const given = options.data?.payload ?? {};
  const drawn = { rt: randomization.sampleExGaussian(6000, 1500, 1 / 3000, true) };
  const data = pluginAPI.mergeSimulationData(drawn, { ...options, data: { ...options.data } });
  data.payload = { ...draw(given), ...commonOf(trial), ...given };
  pluginAPI.ensureSimulationDataConsistency(trial, data);
  if (mode === 'data-only') {
    load_callback();
    plugin.jsPsych.finishTrial(data);
    return;
  }
  const display = plugin.jsPsych.getDisplayElement();
  plugin.trial(display, trial);
  load_callback();
  pluginAPI.setTimeout(() => {
    display.querySelector('.picture-show')?.click();
    operate(display, data.payload);
  }, data.rt / 3);
  pluginAPI.clickTarget(display.querySelector('#trial-continue'), data.rt);
}

/** What every answer has, where no screen was shown. */
function commonOf({ timing, display }) {
  return {
    input_method: 'none',
    viewport: viewport(),
    resampling: display.resampling ?? 'nearest',
    exposure_ms: display.exposure_ms ?? null,
    ...(timing && { first_interaction_ms: 0, blur_count: 0, hidden_ms: 0 }),
  };
}
