// media.js - what a person gives: strokes, a picture, a sound, a text, tensors. Each function makes the nodes of one kind
// and calls `send` with {body, type, file | text, stage?}; `take` is given files that were dropped or pasted.

import {el} from './answers.js';

const PAPER = 280; // pixels along a side of what is drawn on
const MOST_ZEROS = 2000;

let unique = 0;

function chooser(words, accept, take) {
  const id = `file-${++unique}`;
  const input = el('input', {type: 'file', id, accept});
  input.addEventListener('change', () => input.files.length && take(input.files[0]));
  return el('p', {class: 'choose'}, el('label', {for: id}, words), input);
}

// What lies in `zone` takes files that are dropped there.
function droppable(zone, take) {
  zone.addEventListener('dragover', (event) => {
    event.preventDefault();
    zone.classList.add('over');
  });
  zone.addEventListener('dragleave', () => zone.classList.remove('over'));
  zone.addEventListener('drop', (event) => {
    event.preventDefault();
    zone.classList.remove('over');
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
}

const typeOf = (file, otherwise) => file.type || otherwise;

// --- strokes ---------------------------------------------------------------------------------------------------------

export function drawing(send) {
  const canvas = el('canvas', {class: 'paper', width: PAPER, height: PAPER, role: 'img',
    'aria-label': 'Paper to draw on with mouse, pen or finger. With the keyboard: choose a picture instead.'});
  const pen = canvas.getContext('2d');
  const clear = () => {
    pen.fillStyle = '#fff';
    pen.fillRect(0, 0, PAPER, PAPER);
  };
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * PAPER, ((event.clientY - box.top) / box.height) * PAPER];
  };
  clear();
  let drawn = false;
  canvas.addEventListener('pointerdown', (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    drawn = true;
    pen.lineWidth = PAPER / 13;
    pen.lineCap = pen.lineJoin = 'round';
    pen.strokeStyle = '#000';
    pen.beginPath();
    pen.moveTo(...at(event));
    pen.lineTo(...at(event));
    pen.stroke();
  });
  canvas.addEventListener('pointermove', (event) => {
    if (!drawn) return;
    pen.lineTo(...at(event));
    pen.stroke();
  });
  const lift = () => {
    if (!drawn) return;
    drawn = false;
    canvas.toBlob((body) => send({body, type: 'image/png', file: 'drawing.png', kept: body}), 'image/png');
  };
  canvas.addEventListener('pointerup', lift);
  canvas.addEventListener('pointercancel', lift);
  const take = async (file) => {
    clear();
    send({body: file, type: typeOf(file, 'image/png'), file: file.name});
    try {
      const bitmap = await createImageBitmap(file);
      const scale = Math.min(PAPER / bitmap.width, PAPER / bitmap.height);
      const [width, height] = [bitmap.width * scale, bitmap.height * scale];
      pen.drawImage(bitmap, (PAPER - width) / 2, (PAPER - height) / 2, width, height);
    } catch {
      clear(); // a kind that the browser cannot show; the server says what it makes of it
    }
  };
  const again = el('button', {type: 'button'}, 'Clear');
  again.addEventListener('click', () => {
    clear();
    send(null);
  });
  droppable(canvas, take);
  return {nodes: [canvas, el('p', {}, again), chooser('or choose a picture', 'image/*', take)], take};
}

// --- a picture -------------------------------------------------------------------------------------------------------

export function picture(send) {
  const image = el('img', {alt: 'The picture that was chosen'});
  const canvas = el('canvas', {'aria-hidden': 'true'});
  const stage = el('div', {class: 'stage', hidden: ''}, image, canvas);
  const hint = el('p', {class: 'hint'}, 'Drop a picture here, or paste one');
  const zone = el('div', {class: 'zone'}, hint, stage);
  const take = async (file) => {
    URL.revokeObjectURL(image.src);
    const url = image.src = URL.createObjectURL(file);
    canvas.width = canvas.height = 0;
    const request = {body: file, type: typeOf(file, 'image/jpeg'), file: file.name};
    try {
      await image.decode();
      request.stage = {overlay: canvas, width: image.naturalWidth, height: image.naturalHeight};
    } catch {
      hint.textContent = `The browser cannot show ${file.name}`;
    }
    if (image.src !== url) return; // another came meanwhile
    stage.hidden = !request.stage;
    hint.hidden = !stage.hidden;
    send(request);
  };
  droppable(zone, take);
  return {nodes: [zone, chooser('or choose one', 'image/*', take)], take};
}

// --- a sound ---------------------------------------------------------------------------------------------------------

export function sound(send) {
  const player = el('audio', {controls: '', hidden: '', 'aria-label': 'The sound that was chosen'});
  const zone = el('div', {class: 'zone'}, el('p', {class: 'hint'}, 'Drop a sound here: WAV, FLAC, Ogg or MP3'), player);
  const take = (file) => {
    URL.revokeObjectURL(player.src);
    player.src = URL.createObjectURL(file);
    player.hidden = false;
    send({body: file, type: typeOf(file, 'audio/wav'), file: file.name});
  };
  droppable(zone, take);
  return {nodes: [zone, chooser('or choose one', 'audio/*,.flac,.ogg,.opus,.wav,.mp3', take)], take};
}

// --- texts -----------------------------------------------------------------------------------------------------------

function form(label, area, button, ...more) {
  const id = `text-${++unique}`;
  area.id = id;
  const made = el('form', {}, el('label', {for: id}, label), area, ...more, el('p', {}, button));
  area.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) made.requestSubmit();
  });
  return made;
}

export function text(send) {
  const area = el('textarea', {rows: 4, required: ''});
  const made = form('Write a text', area, el('button', {}, 'Ask'));
  made.addEventListener('submit', (event) => {
    event.preventDefault();
    send({body: area.value, type: 'text/plain', text: area.value});
  });
  return {nodes: [made]};
}

// A model with an encoder makes a text of this one, as its manifest says; any other goes on with it.
export function prompt(send, model) {
  const reads = Boolean(model.parameters.encoder);
  const area = el('textarea', {rows: 4});
  const tokens = el('input', {type: 'number', min: 1, max: 1048576, value: 100});
  const temperature = el('input', {type: 'number', min: 0, max: 10, step: 0.1, value: 0.8});
  const stop = el('button', {type: 'button', class: 'quiet'}, 'Stop');
  const made = form(reads ? 'Write a text' : 'How does the text begin?', area, el('button', {}, reads ? 'Ask' : 'Go on'),
    reads ? '' : el('p', {class: 'numbers'}, el('label', {}, 'tokens ', tokens), el('label', {}, 'temperature ', temperature)));
  made.lastChild.append(' ', stop);
  stop.addEventListener('click', () => send(null));
  made.addEventListener('submit', (event) => {
    event.preventDefault();
    const body = JSON.stringify(reads ? {text_input: area.value} : {text_input: area.value, max_tokens: Number(tokens.value),
      temperature: Number(temperature.value), seed: Math.floor(Math.random() * 2 ** 31)});
    send({body, type: 'application/json', text: body});
  });
  return {nodes: [made]};
}

// --- tensors ---------------------------------------------------------------------------------------------------------

// A free dimension is 1; zeros, where they are few enough to be looked at.
function zeros(input) {
  const shape = input.shape.map((n) => (n < 0 ? 1 : n));
  const count = shape.reduce((a, b) => a * b, 1);
  const one = input.datatype === 'BYTES' ? '' : input.datatype === 'BOOL' ? false : 0;
  return {name: input.name, datatype: input.datatype, shape, data: count > MOST_ZEROS ? [] : Array(count).fill(one)};
}

export function tensors(send, model) {
  const area = el('textarea', {rows: 8, spellcheck: 'false', class: 'code', required: ''});
  const rows = model.inputs.map((input) => '  ' + JSON.stringify(zeros(input)));
  area.value = `{"inputs": [\n${rows.join(',\n')}\n]}`;
  const made = form('Tensors, as JSON', area, el('button', {}, 'Ask'));
  made.addEventListener('submit', (event) => {
    event.preventDefault();
    send({body: area.value, type: 'application/json', text: area.value});
  });
  return {nodes: [made]};
}
