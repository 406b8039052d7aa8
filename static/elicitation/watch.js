/**
 * What happens around the trials: the page is hidden or left, the connection comes and goes, another
 * window takes over, a script fails. Each becomes an event or a reason to send now.
 */

const MOST_ERRORS = 20;

/**
 * @param {{outbox: import('./outbox.js').Outbox, opening: import('./opening.js').Opening}} parts
 */
export function observe({ outbox, opening }) {
  window.addEventListener('online', () => outbox.wake());
  window.addEventListener('pagehide', () => outbox.wake());
  watchLeaving(outbox);
  watchVisibility(outbox, opening);
  watchConnection(outbox, opening);
  watchErrors(opening);
}

/** What only this page holds would go with it, so the browser asks first. */
function watchLeaving(outbox) {
  window.addEventListener('beforeunload', (event) => {
    if (!outbox.durable && outbox.unsent().length) event.preventDefault();
  });
}

function watchVisibility(outbox, opening) {
  let since = null;
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'hidden') {
      since = performance.now();
      outbox.wake();
    } else if (since !== null) {
      const ms = Math.round(performance.now() - since);
      since = null;
      outbox.wake();
      if (opening.timing) opening.event('hidden', { ms, position: opening.position });
    }
  });
}

function watchConnection(outbox, opening) {
  let since = null;
  outbox.addEventListener('change', () => {
    if (outbox.failing) since ??= performance.now();
    else if (since !== null) {
      const ms = Math.round(performance.now() - since);
      since = null;
      opening.event('offline', { ms });
    }
  });
}

function watchErrors(opening) {
  let left = MOST_ERRORS;
  const report = (message, source = '', line = 0) => {
    if (left > 0)
      opening.event('js_error', {
        message: String(message).slice(0, 500),
        source: String(source).slice(0, 200),
        line,
      });
    left -= 1;
  };
  window.addEventListener('error', (event) => report(event.message, event.filename, event.lineno));
  window.addEventListener('unhandledrejection', (event) => report(event.reason?.message ?? event.reason));
}

/**
 * Tell the other windows of this participation that this one is newer, and hear when it no longer is.
 *
 * @param {string} key names study and participation
 * @param {number} epoch of this opening of the page; the highest one is the newest
 * @param {() => void} overtaken
 */
export function oneWindow(key, epoch, overtaken) {
  if (!globalThis.BroadcastChannel) return;
  const channel = new BroadcastChannel(key);
  channel.addEventListener('message', ({ data }) => {
    if (data > epoch) overtaken();
    else if (data < epoch) channel.postMessage(epoch);
  });
  channel.postMessage(epoch);
}
