/**
 * A small server that keeps answers by the protocol's rules, for the tests. `trouble` is asked before and
 * after each call is carried out, so that a test can make a call fail or lose its reply.
 */

import { createServer } from 'node:http';
import { once } from 'node:events';

export async function startServer() {
  const state = {
    answers: new Map(),
    events: [],
    calls: [],
    trouble: () => null,
    reply: (results) => results,
  };
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const part of request) text += part;
    const call = { path: request.url, headers: request.headers, body: text ? JSON.parse(text) : null };
    state.calls.push(call);
    const before = state.trouble('before', call);
    if (before) return answer(response, before, { detail: 'Not now.' });
    const results = carryOut(state, call);
    if (state.trouble('after', call)) return request.socket.destroy();
    return answer(
      response,
      200,
      state.reply({ results, stale_epoch: false, answered: state.answers.size, total: 9 }),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    ...state,
    state,
    base: `http://127.0.0.1:${server.address().port}/api/`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

function carryOut(state, { path, body }) {
  if (path.endsWith('/events/')) {
    state.events.push(...body.events);
    return body.events.map(({ id }) => ({ id, status: 'kept' }));
  }
  return (body?.responses ?? []).map(({ id, position }) => {
    const held = state.answers.get(position);
    if (held) return { id, status: held === id ? 'exists' : 'superseded' };
    state.answers.set(position, id);
    return { id, status: 'created' };
  });
}

function answer(response, status, body) {
  response.writeHead(status, {
    'Content-Type': status === 200 ? 'application/json' : 'application/problem+json',
    ...(status === 429 && { 'Retry-After': '7' }),
  });
  response.end(JSON.stringify(body));
}
