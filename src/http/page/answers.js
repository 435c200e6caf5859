// answers.js - answers as a person reads them: bars, boxes, masks, pictures, texts, numbers. What comes from a model is
// text and only text: nodes are made by `el`, never from markup.

export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const nameOf = (one) => String(one.label ?? one.index ?? '');
const colourOf = (index) => `hsl(${(index * 137.5 + 210) % 360} 75% 42%)`; // neighbours lie far apart

function number(value) {
  if (typeof value !== 'number') return String(value);
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
}

function percent(score) {
  const share = score * 100;
  return share > 0 && share < 0.1 ? '< 0.1 %' : `${share >= 99.95 || share === 0 ? share.toFixed(0) : share.toFixed(1)} %`;
}

// Scores of 0 to 1 are shares; others are as long as the largest is.
function bars(list) {
  const shares = list.every((one) => one.score >= 0 && one.score <= 1);
  const most = shares ? 1 : Math.max(...list.map((one) => Math.abs(one.score)), 1e-9);
  return el('ol', {class: 'bars'}, ...list.map((one) => {
    const fill = el('span', {class: one.score < 0 ? 'fill below' : 'fill'});
    fill.style.width = `${Math.min(100, (Math.abs(one.score) / most) * 100)}%`;
    return el('li', {}, el('span', {class: 'name'}, nameOf(one)), el('span', {class: 'track', 'aria-hidden': 'true'}, fill),
      el('span', {class: 'value'}, shares ? percent(one.score) : number(one.score)));
  }));
}

function found(list) {
  if (!list.length) return el('p', {}, 'Nothing was found.');
  return el('ol', {class: 'found', tabindex: '0', 'aria-label': `${list.length} found`}, ...list.slice(0, 100).map((one) => {
    const dot = el('span', {class: 'dot', 'aria-hidden': 'true'});
    dot.style.background = colourOf(one.index ?? 0);
    return el('li', {}, dot, el('span', {class: 'name'}, nameOf(one)), el('span', {class: 'value'}, percent(one.score)));
  }));
}

function values(list) {
  return el('dl', {class: 'values'}, ...list.flatMap((one) => [el('dt', {}, nameOf(one)), el('dd', {}, number(one.value))]));
}

// Pieces of a text, or the texts that were read.
function texts(list) {
  if (!list.length) return el('p', {}, 'Nothing was read.');
  if (list[0].start === undefined)
    return el('ol', {class: 'texts'}, ...list.map((one) =>
      el('li', {}, el('span', {class: 'prose'}, one.text || '(nothing)'), el('span', {class: 'value'}, percent(one.score)))));
  return el('p', {class: 'prose pieces'}, ...list.map((one) =>
    el('span', {class: 'piece'}, one.text, ...(one.label === undefined ? [] : [el('small', {}, ` ${nameOf(one)}`)]))));
}

// --- pictures --------------------------------------------------------------------------------------------------------

const MOST = 1600; // pixels along a side of what is drawn

function blobOf(one) {
  const type = one.content_type === 'image/jpeg' ? 'image/jpeg' : 'image/png';
  return new Blob([Uint8Array.from(atob(one.b64), (c) => c.charCodeAt(0))], {type});
}

// In a crowd only names that cover little more than their box.
function drawBox(pen, one, line, scale, crowded) {
  const [x1, y1, x2, y2] = one.box.map((v) => v * scale);
  const colour = colourOf(one.index ?? 0);
  pen.save();
  if (one.angle) {
    pen.translate((x1 + x2) / 2, (y1 + y2) / 2);
    pen.rotate(one.angle);
    pen.translate(-(x1 + x2) / 2, -(y1 + y2) / 2);
  }
  pen.strokeStyle = colour;
  pen.lineWidth = line;
  pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
  pen.restore();
  const label = `${nameOf(one)} ${percent(one.score)}`;
  const size = line * 6;
  pen.font = `${size}px sans-serif`;
  if (crowded && pen.measureText(label).width > (x2 - x1) * 1.2) return;
  pen.fillStyle = colour;
  const top = Math.max(0, y1 - size * 1.3);
  pen.fillRect(x1 - line / 2, top, pen.measureText(label).width + size * 0.6, size * 1.3);
  pen.fillStyle = '#fff';
  pen.fillText(label, x1 - line / 2 + size * 0.3, top + size);
}

function drawPoints(pen, one, line, scale) {
  const size = one.box ? Math.min(line * 1.3, Math.max(1, ((one.box[2] - one.box[0]) * scale) / 16)) : line * 1.3;
  pen.fillStyle = '#ffd400';
  pen.strokeStyle = '#000';
  pen.lineWidth = size / 4;
  for (const [x, y, score] of one.points) {
    if (score !== undefined && score < 0.3) continue;
    pen.beginPath();
    pen.arc(x * scale, y * scale, size, 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
  }
}

// The worst first, so that the best lie on top.
function overlay(stage, list) {
  const scale = Math.min(1, MOST / Math.max(stage.width, stage.height));
  const canvas = stage.overlay;
  canvas.width = Math.round(stage.width * scale);
  canvas.height = Math.round(stage.height * scale);
  const pen = canvas.getContext('2d');
  const line = Math.max(2, canvas.width / 250);
  for (const one of [...list].reverse()) {
    if (one.box) drawBox(pen, one, line, scale, list.length > 12);
    if (one.points) drawPoints(pen, one, line, scale);
  }
}

// A gray map: numbers of classes, or with one class how much of each pixel is in it.
async function mask(stage, one) {
  const bitmap = await createImageBitmap(blobOf(one), {colorSpaceConversion: 'none', premultiplyAlpha: 'none'});
  const scale = Math.min(1, MOST / Math.max(bitmap.width, bitmap.height));
  const canvas = stage.overlay;
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const pen = canvas.getContext('2d', {willReadFrequently: true});
  pen.imageSmoothingEnabled = false;
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const pixels = pen.getImageData(0, 0, canvas.width, canvas.height);
  const data = pixels.data;
  let most = 0;
  for (let i = 0; i < data.length; i += 4) most = Math.max(most, data[i]);
  const soft = most > 1 && one.classes.every((c) => c.index === 0);
  const probe = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const tints = new Map();
  const tint = (index) => {
    if (!tints.has(index)) {
      probe.fillStyle = colourOf(index);
      probe.fillRect(0, 0, 1, 1);
      tints.set(index, probe.getImageData(0, 0, 1, 1).data);
    }
    return tints.get(index);
  };
  for (let i = 0; i < data.length; i += 4) {
    const value = data[i];
    const colour = tint(soft ? 0 : value);
    data[i] = colour[0];
    data[i + 1] = colour[1];
    data[i + 2] = colour[2];
    data[i + 3] = soft ? value * 0.6 : value ? 140 : 0;
  }
  pen.putImageData(pixels, 0, 0);
}

function shares(classes) {
  return bars(classes.map((one) => ({...one, score: one.share})));
}

function after(one) {
  const url = URL.createObjectURL(blobOf(one));
  const size = `${one.width} × ${one.height}`;
  return el('figure', {}, el('img', {src: url, alt: 'What the model made'}),
    el('figcaption', {}, `After: ${size} `, el('a', {href: url, download: 'answer.png'}, 'save')));
}

export function heard(blob) {
  const url = URL.createObjectURL(blob);
  return el('figure', {}, el('audio', {controls: '', src: url}),
    el('figcaption', {}, 'After ', el('a', {href: url, download: 'answer.wav'}, 'save')));
}

// --- what a reply holds ----------------------------------------------------------------------------------------------

const list64 = (data) => `${data.slice(0, 64).map(number).join(' ')}${data.length > 64 ? ` … (${data.length})` : ''}`;

function tensor(output) {
  const data = Array.isArray(output.data) ? output.data.flat(Infinity) : [];
  return el('div', {class: 'tensor'}, el('b', {}, output.name), ` ${output.datatype} [${output.shape.join(', ')}] `,
    el('code', {}, list64(data)));
}

// By what a prediction has, so that a task that is new here needs no word for it.
async function prediction(one, stage) {
  if (Array.isArray(one)) {
    const first = one[0] ?? {};
    if (one.some((each) => each.box || each.points) || (!one.length && stage)) {
      if (stage) overlay(stage, one);
      return found(one);
    }
    if (first.text !== undefined) return texts(one);
    if (first.value !== undefined) return values(one);
    return bars(one);
  }
  if (one.classes && one.b64) {
    if (stage) await mask(stage, one);
    return shares(one.classes);
  }
  if (one.b64) return after(one);
  if (one.embedding) return el('p', {}, `A vector of ${one.embedding.length} numbers: `, el('code', {}, list64(one.embedding)));
  return el('code', {}, JSON.stringify(one));
}

// Nodes for a reply of /infer; `stage` is the picture that was posted, to be drawn on, or nothing.
export async function shown(reply, stage) {
  const nodes = [];
  const predictions = Array.isArray(reply.predictions) ? reply.predictions.slice(0, 50) : [];
  for (const [i, one] of predictions.entries()) {
    const window = reply.windows?.[i];
    if (window && predictions.length > 1) nodes.push(el('h3', {}, `${window.start.toFixed(2)} to ${window.end.toFixed(2)} s`));
    nodes.push(await prediction(one, predictions.length === 1 ? stage : null));
  }
  if (reply.similarity !== undefined) nodes.push(el('p', {}, `Alike: ${number(reply.similarity)}`));
  if (!predictions.length) nodes.push(...(reply.outputs ?? []).map(tensor));
  return nodes;
}
