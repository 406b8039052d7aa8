/**
 * The button beside the completion code that copies it. Without this script the code is still there to read.
 */

const code = document.getElementById('completion-code');
const button = document.getElementById('copy-code');
const said = document.getElementById('copied');

button.hidden = false;
button.addEventListener('click', async () => {
  try {
    await navigator.clipboard.writeText(code.textContent.trim());
    said.textContent = button.dataset.done;
  } catch {
    // No clipboard without https: select the code, so that Ctrl+C copies it.
    window.getSelection().selectAllChildren(code);
    said.textContent = button.dataset.selected;
  }
});
