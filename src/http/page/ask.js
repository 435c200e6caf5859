// ask.js - requests to the server that this page came from, the key they show, and curl lines that do the same.

let key = '';

export function useKey(text) {
  key = text;
}

// Paths are relative to the page's, under whatever base path it was got.
export function address(path) {
  return new URL(path, location.href).href;
}

export class Refused extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

// Tensors may hold NaN and Infinity, which JSON.parse does not take: they become null.
export function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?(?:NaN|Infinity)/g, (word) => (word[0] === '"' ? word : 'null')));
  }
}

async function sentenceOf(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error || `the server says ${response.status}`;
  } catch {
    return text.slice(0, 300) || `the server says ${response.status}`;
  }
}

// The response; Refused with the server's own sentence when it is an error.
export async function ask(path, {body, type, accept, signal} = {}) {
  const headers = {};
  if (type) headers['Content-Type'] = type;
  if (accept) headers.Accept = accept;
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(address(path), {method: body === undefined ? 'GET' : 'POST', body, headers, signal});
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refused(0, 'The server cannot be reached.');
  }
  if (!response.ok) throw new Refused(response.status, await sentenceOf(response));
  return response;
}

export async function askJson(path, options) {
  return parse(await (await ask(path, options)).text());
}

// "decode;dur=0.1, infer;dur=2.5" -> 2.5
export function inferMs(response) {
  const found = /(?:^|[ ,])infer;dur=([0-9.]+)/.exec(response.headers.get('Server-Timing') || '');
  return found ? Number(found[1]) : null;
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

// Of a file its name stands there, of a text the text; the key never does. `saved` is where an answer goes that is no text.
export function curl(path, {type, accept, saved, file, text, stream}) {
  const parts = ['curl'];
  if (stream) parts.push('-N');
  if (key) parts.push('-H "Authorization: Bearer $PERCEPTD_KEY"');
  if (type) parts.push('-H ' + quoted(`Content-Type: ${type}`));
  if (accept) parts.push('-H ' + quoted(`Accept: ${accept}`), `-o ${saved}`);
  if (file !== undefined) parts.push('--data-binary ' + quoted('@' + file.replace(/[\0-\x1f\x7f]/g, '?')));
  if (text !== undefined) parts.push('--data-raw ' + quoted(text));
  parts.push(quoted(address(path)));
  return parts.join(' ');
}
