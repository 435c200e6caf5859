// loops.js BINARY SHARED FOLDER MANIFEST - spelling to phonemes: the words of words/expected.txt, and a hundred names beside a
// lone loop over ONNX Runtime, one at a time and 64 at a time. Tells words per second of both, which nothing depends on.
'use strict';
const fs = require('fs');
const http = require('http');
const path = require('path');
const {spawn} = require('child_process');
const ort = require('onnxruntime-node');

const [binary, shared, folder, manifest] = process.argv.slice(2);
const SOCKET = path.join(folder, 'socket');
const START = 2, END = 3, STEPS = 20, NAMES = 100, CALLERS = [1, 8, 64];
const agent = new http.Agent({keepAlive: true, maxSockets: 64});
const model = (name) => path.join(shared, 'models', name, 'model.onnx');

// --- theirs ----------------------------------------------------------------------------------------------------------

const {graphemes, phonemes} = JSON.parse(fs.readFileSync(path.join(shared, 'models/g2p_enc/vocab.json')));
const whole = (values, dims) => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);

async function theirs({encoder, decoder}, word) {
  const ids = [...word.toLowerCase()].map((c) => Math.max(graphemes.indexOf(c), 1)).concat(graphemes.indexOf('</s>'));
  let {h} = await encoder.run({graphemes: whole(ids, [ids.length, 1]), lengths: new ort.Tensor('int32', [ids.length], [1])});
  const spoken = [];
  for (let token = START; spoken.length < STEPS;) {
    const {logits, h_out} = await decoder.run({phoneme: whole([token], [1, 1]), h_in: h});
    token = logits.data.reduce((best, score, i) => (score > logits.data[best] ? i : best), 0);
    h = h_out;
    if (token === END) break;
    spoken.push(phonemes[token]);
  }
  return spoken.join(' ');
}

// --- ours ------------------------------------------------------------------------------------------------------------

function ask(word) {
  const body = JSON.stringify({text_input: word, max_tokens: STEPS});
  return new Promise((resolve, reject) => {
    const request = http.request({socketPath: SOCKET, agent, method: 'POST', path: '/v2/models/g2p/generate',
                                  headers: {'Content-Length': Buffer.byteLength(body)}}, (reply) => {
      let all = '';
      reply.setEncoding('utf8').on('data', (part) => (all += part)).on('end', () => {
        const told = JSON.parse(all);
        resolve(reply.statusCode === 200 ? told.text_output : `${reply.statusCode} ${told.error}`);
      });
    });
    request.on('error', reject).end(body);
  });
}

// All of them, some at a time.
async function askAll(words, callers) {
  const answers = new Array(words.length);
  let next = 0;
  await Promise.all(Array.from({length: callers}, async () => {
    for (let i = next++; i < words.length; i = next++) answers[i] = await ask(words[i]);
  }));
  return answers;
}

async function start() {
  const own = path.join(folder, 'g2p');
  fs.mkdirSync(own);
  fs.copyFileSync(model('g2p_enc'), path.join(own, 'encoder.onnx'));
  fs.copyFileSync(model('g2p_dec'), path.join(own, 'decoder.onnx'));
  fs.copyFileSync(manifest, path.join(own, 'manifest.json'));
  const daemon = spawn(binary, ['serve', own, '--listen', `unix:${SOCKET}`, '--private-regions', '--workers', '1'],
                       {stdio: ['ignore', 'ignore', 'inherit']});
  for (let i = 0; i < 500 && daemon.exitCode === null; i++) {
    if (fs.existsSync(SOCKET) && !/^\d/.test(await ask('a').catch(() => '503'))) return daemon;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('the daemon does not answer');
}

// --- both ------------------------------------------------------------------------------------------------------------

// So many names, spread over all files, each once.
function names() {
  const at = path.join(shared, 'data/names');
  const files = fs.readdirSync(at).filter((name) => name.endsWith('.txt')).sort();
  const all = files.flatMap((name) => fs.readFileSync(path.join(at, name), 'utf8').split('\n').map((l) => l.trim()).filter(Boolean));
  return Array.from({length: NAMES}, (_, i) => all[Math.floor((i * all.length) / NAMES)]);
}

const rate = (n, begun) => `${((n / (performance.now() - begun)) * 1000).toFixed(0)} words a second`;

async function main() {
  const options = {intraOpNumThreads: 1, interOpNumThreads: 1, executionProviders: ['cpu']};
  const sessions = {encoder: await ort.InferenceSession.create(model('g2p_enc'), options),
                    decoder: await ort.InferenceSession.create(model('g2p_dec'), options)};
  const pairs = fs.readFileSync(path.join(shared, 'models/g2p_enc/words/expected.txt'), 'utf8').split('\n').filter(Boolean)
    .map((line) => line.split(' => '));
  const words = names(), wrong = [];
  const daemon = await start();
  const compare = (what, word, got, want) => got === want || wrong.push(`${what}: ${word}: '${got}' instead of '${want}'`);
  try {
    for (const [word, want] of pairs) compare('expected.txt', word, await ask(word), want);
    const wanted = [];
    for (const word of words) wanted.push(await theirs(sessions, word)); // not timed: the first runs are slow
    let begun = performance.now();
    for (const word of words) await theirs(sessions, word);
    console.log(`a lone loop over ONNX Runtime: ${rate(words.length, begun)}`);
    for (const callers of CALLERS) {
      begun = performance.now();
      const got = await askAll(words, callers);
      console.log(`${callers} callers: ${rate(words.length, begun)}`);
      words.forEach((word, i) => compare(`${callers} callers`, word, got[i], wanted[i]));
    }
  } finally {
    daemon.kill();
    await new Promise((resolve) => daemon.once('exit', resolve));
  }
  wrong.forEach((line) => console.log(line));
  console.log(`${pairs.length} words, ${words.length} names: ${wrong.length ? `${wrong.length} differ` : 'all alike'}`);
  process.exit(wrong.length ? 1 : 0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
