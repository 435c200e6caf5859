// page.js - the page: a card for each model, filled as its metadata comes, that asks it and shows what it answers.

import {Refused, ask, askJson, curl, inferMs, parse, useKey} from './ask.js';
import {el, heard, shown} from './answers.js';
import * as media from './media.js';

const at = (id) => document.getElementById(id);
const MANY = 6; // models from which on they can be searched

// --- one request after the other -------------------------------------------------------------------------------------

// How a model is asked: what its card takes, the path, what comes back when that is not JSON, and what of the curl line's is
// otherwise: a picture comes to the page in JSON, and to a shell as a file.
function mannerOf(model) {
  const {input_kind: kind, ink, task, generate} = model.parameters ?? {};
  const path = `v2/models/${model.name}/`;
  if (generate) return {input: media.prompt, path: `${path}generate_stream`, stream: true};
  const input = kind === 'image' ? (ink ? media.drawing : media.picture)
    : kind === 'audio' ? media.sound : kind === 'text' ? media.text : media.tensors;
  const manner = {input, path: `${path}infer`};
  if (task === 'audio') return {...manner, accept: 'audio/wav', line: {accept: 'audio/wav', saved: 'answer.wav'}};
  return task === 'image' ? {...manner, line: {accept: 'image/png', saved: 'answer.png'}} : manner;
}

const timeText = (ms) => (ms < 1 ? `${ms.toFixed(2)} ms` : ms < 100 ? `${ms.toFixed(1)} ms` : ms < 10000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(1)} s`);

async function whole(manner, request, signal) {
  const begun = performance.now();
  const response = await ask(manner.path, {...request, accept: manner.accept, signal});
  const isSound = (response.headers.get('Content-Type') ?? '').startsWith('audio/');
  const body = isSound ? await response.blob() : await response.text();
  const ms = performance.now() - begun, model = inferMs(response);
  const nodes = isSound ? [heard(body)] : await shown(parse(body), request.stage);
  return {nodes, time: `${timeText(ms)}${model === null ? '' : `, ${timeText(model)} of them in the model`}`};
}

// Server-sent events, each with a piece of the text; the last has the counts.
async function streamed(manner, request, signal, answer) {
  const begun = performance.now();
  const response = await ask(manner.path, {...request, signal});
  const prose = el('p', {class: 'prose'});
  answer.replaceChildren(prose);
  let rest = '', last = {};
  for (const reader = response.body.pipeThrough(new TextDecoderStream()).getReader(); ;) {
    const {value, done} = await reader.read();
    if (done) break;
    const events = (rest + value).split(/\r?\n\r?\n/);
    rest = events.pop();
    for (const event of events) {
      if (!event.startsWith('data:')) continue;
      last = parse(event.slice(5));
      if (last.error) throw new Refused(response.status, last.error);
      prose.append(last.text_output ?? '');
    }
  }
  const ms = performance.now() - begun, n = last.completion_tokens;
  return {nodes: [prose], time: `${timeText(ms)}${n ? `, ${n} tokens, ${((n / ms) * 1000).toFixed(0)} in a second` : ''}`};
}

// --- cards -----------------------------------------------------------------------------------------------------------

async function copy(code, button) {
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch { // only pages that came over TLS or from this machine have a clipboard
    getSelection().selectAllChildren(code);
    document.execCommand('copy');
  }
  button.textContent = 'Copied';
  setTimeout(() => (button.textContent = 'Copy'), 1500);
}

function command(manner, request) {
  const code = el('code', {}, curl(manner.path, {...request, ...manner.line, stream: manner.stream}));
  const button = el('button', {type: 'button', class: 'quiet'}, 'Copy');
  button.addEventListener('click', () => copy(code, button));
  const saved = request.kept
    ? [el('a', {href: URL.createObjectURL(request.kept), download: request.file}, `save ${request.file}`)] : [];
  return [el('pre', {}, code), el('p', {}, button, ' ', ...saved)];
}

// In place of what is there, whose files are given back to the browser.
function put(place, ...nodes) {
  for (const node of place.querySelectorAll('[src^="blob:"], [href^="blob:"]'))
    URL.revokeObjectURL(node.getAttribute('src') ?? node.getAttribute('href'));
  place.replaceChildren(...nodes);
}

function trial(model) {
  const manner = mannerOf(model);
  const answer = el('div', {class: 'answer', 'aria-live': 'polite', role: 'region', 'aria-label': `Answer of ${model.name}`});
  const time = el('p', {class: 'time'});
  const line = el('div', {class: 'command'});
  let running = new AbortController();
  const send = async (request) => {
    running.abort();
    const mine = running = new AbortController();
    if (!request) {
      answer.removeAttribute('aria-busy');
      if (!manner.stream) [answer, line, time].forEach((node) => put(node));
      return;
    }
    answer.setAttribute('aria-busy', 'true');
    put(line, ...command(manner, request));
    try {
      const got = await (manner.stream ? streamed : whole)(manner, request, mine.signal, answer);
      if (mine.signal.aborted) return;
      put(answer, ...got.nodes);
      time.textContent = got.time;
    } catch (error) {
      if (mine.signal.aborted) return;
      put(answer, el('p', {class: 'error'}, error.message));
      time.textContent = '';
      if (error.status === 401) askForKey(error.message);
    } finally {
      if (mine === running) answer.removeAttribute('aria-busy');
    }
  };
  const input = manner.input(send, model);
  return {take: input.take, node: el('div', {class: 'trial'}, el('div', {class: 'input'}, ...input.nodes),
    el('div', {class: 'output'}, answer, time, line))};
}

const ioText = (io) => `${io.name} ${io.datatype} [${io.shape.map((n) => (n < 0 ? '?' : n)).join(', ')}]`;

function about(model) {
  const row = (name, text) => [el('dt', {}, name), el('dd', {}, text)];
  const {task, labels, license, resident} = model.parameters ?? {};
  return el('details', {}, el('summary', {}, 'About'), el('dl', {},
    ...row('takes', model.inputs.map(ioText).join(', ')), ...row('gives', model.outputs.map(ioText).join(', ')),
    ...row('versions', model.versions.join(', ')), ...(task ? row('task', labels ? `${task}, ${labels} labels` : task) : []),
    ...(resident === false ? row('memory', 'it is loaded when it is asked') : []), ...(license ? row('licence', license) : [])));
}

const takers = new WeakMap();

async function fill(card, name) {
  try {
    const model = await askJson(`v2/models/${name}`);
    const {take, node} = trial(model);
    takers.set(card, take);
    card.append(el('p', {}, model.parameters?.description ?? ''), node, about(model));
  } catch (error) {
    card.append(el('p', {class: 'error'}, error.message));
    if (error.status === 401) throw error;
  }
}

function cardOf(name) {
  const id = `model-${name}`;
  return el('article', {'aria-labelledby': id, 'data-model': name}, el('h2', {id}, name));
}

// --- the page --------------------------------------------------------------------------------------------------------

function askForKey(sentence) {
  at('key').hidden = false;
  at('key-says').textContent = sentence;
  at('key-text').focus();
}

async function showLeftOut(names) {
  const {reasons = {}} = await fetch('v2/health/ready').then((response) => response.json()).catch(() => ({}));
  const others = Object.entries(reasons).filter(([name]) => !names.includes(name));
  at('left-out').hidden = !others.length;
  at('left-out-list').replaceChildren(...others.map(([name, why]) => el('li', {}, el('b', {}, name), `: ${why}`)));
}

async function load() {
  const cards = at('models');
  cards.replaceChildren();
  cards.setAttribute('aria-busy', 'true');
  try {
    const [server, {models}] = await Promise.all([askJson('v2'), askJson('v2/models')]);
    at('version').textContent = server.version;
    at('says').textContent = models.length ? '' : 'No models are served here.';
    at('find').hidden = models.length < MANY;
    at('key').hidden = true;
    const all = models.map((name) => [cardOf(name), name]);
    cards.append(...all.map(([card]) => card));
    await Promise.all([...all.map(([card, name]) => fill(card, name)), showLeftOut(models)]);
  } catch (error) {
    if (error.status === 401) askForKey(error.message);
    at('says').textContent = error.status === 401 ? 'The models are shown to those with a key.' : error.message;
  } finally {
    cards.removeAttribute('aria-busy');
  }
}

at('key').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = at('key-text').value.trim();
  if (!/^[!-~]+$/.test(text)) return askForKey('A key is one word of printable ASCII characters.');
  useKey(text);
  at('key-text').value = '';
  load();
});

at('find-text').addEventListener('input', () => {
  const text = at('find-text').value.trim().toLowerCase();
  for (const card of at('models').children) card.hidden = !card.dataset.model.toLowerCase().includes(text);
});

// A pasted file goes to the card that has the focus, or under the pointer.
document.addEventListener('paste', (event) => {
  const file = event.clipboardData.files[0];
  const card = document.activeElement.closest('article') ?? document.querySelector('article:hover');
  const take = card && takers.get(card);
  if (!file || !take) return;
  event.preventDefault();
  take(file);
});

// What is dropped beside a card is not opened instead of the page.
for (const name of ['dragover', 'drop']) document.addEventListener(name, (event) => event.preventDefault());

load();
