/**
 * Acts a recorded answer out on a plugin's own controls, step by step and about as fast as it was given.
 */

const LEAD_MS = 600;
/** Between two steps whose times were not recorded, and the longest that a step is waited for. */
const STEP_MS = 500;
const LONGEST_MS = 2_000;

const waited = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Put a trial on the screen and act its answer out. Nobody presses Continue, and whatever it would hand over is dropped.
 *
 * @param {object} parts
 * @param {Function} parts.Plugin of the trial's way of asking
 * @param {HTMLElement} parts.stage
 * @param {object} parts.values of the plugin's parameters
 * @param {{payload: object, rt: number|null}|null} parts.answer as it is stored; null where there is none
 * @param {() => void} parts.finished called when somebody presses Continue themselves
 * @param {(ms: number) => Promise<void>} [parts.wait]
 */
export async function replay({ Plugin, stage, values, answer, finished, wait = waited }) {
  const plugin = new Plugin(rehearsal(stage, finished));
  if (answer && !Plugin.acts) {
    // A plugin that cannot tell its steps sets its controls to the answer, as in a rehearsal.
    plugin.simulate(values, 'visual', { data: { payload: answer.payload, rt: STEP_MS } }, () => {});
    return;
  }
  plugin.trial(stage, values);
  if (!answer) return;
  await wait(LEAD_MS);
  stage.querySelector('.picture-show')?.click();
  let before = 0;
  for (const [t, act] of Plugin.acts(answer.payload, values)) {
    await wait(t === null ? STEP_MS : Math.min(LONGEST_MS, Math.max(0, t - before)));
    before = t ?? before;
    act(stage);
  }
}

/** What a plugin needs of jsPsych, without a timeline and without data. */
function rehearsal(stage, finished) {
  return {
    finishTrial: () => finished(),
    getDisplayElement: () => stage,
    pluginAPI: {
      mergeSimulationData: (drawn, { data }) => ({ ...drawn, ...data }),
      ensureSimulationDataConsistency: () => {},
      setTimeout: (act, ms) => setTimeout(act, ms),
      clickTarget: () => {},
    },
    randomization: {
      sampleExGaussian: () => STEP_MS,
      randomInt: (least) => least,
      shuffle: (values) => [...values],
      sampleWithoutReplacement: (values, n) => values.slice(0, n),
    },
  };
}
