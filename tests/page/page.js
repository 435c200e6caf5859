// page.js PERCEPTD SHARED CHROMIUM FOLDER - the page as people use it: a real browser, a real daemon, mouse and keys. What
// models answer whose tasks need files that are not here is made up, by catching requests. Each test has a tab of its own;
// a message in its console, a request elsewhere or a violation of the policy fails it. Closes with "N passed, N failed,
// N skipped"; OUT=FOLDER keeps screenshots, T=TEXT picks tests whose name contains it.

const assert = require('assert');
const {spawn} = require('child_process');
const fs = require('fs');
const path = require('path');
const puppeteer = require('puppeteer-core');

const [perceptd, shared, chromium, folder] = process.argv.slice(2);
const models = path.join(__dirname, '../../models');
const dog = path.join(shared, 'inputs/images/onnx_dog.jpg');
const HOSTILE = '<img src=x onerror="document.title=1">';

// --- daemons ---------------------------------------------------------------------------------------------------------

function copy(name, to, change) {
  const place = path.join(folder, 'models', to);
  fs.cpSync(path.join(models, name), place, {recursive: true});
  const file = path.join(place, 'manifest.json');
  if (change) fs.writeFileSync(file, JSON.stringify(change(JSON.parse(fs.readFileSync(file)))));
}

function writeModels() {
  for (const name of ['digits', 'cats-dogs', 'spam']) copy(name, name);
  copy('cats-dogs', 'hostile', (manifest) => ({...manifest, labels: [HOSTILE, '"><b>'], description: HOSTILE}));
  copy('spam', 'plain');
  fs.rmSync(path.join(folder, 'models/plain/manifest.json'));
  fs.mkdirSync(path.join(folder, 'models/broken'));
  fs.writeFileSync(path.join(folder, 'models/broken/model.onnx'), 'no model');
  fs.writeFileSync(path.join(folder, 'models/best (1).onnx'), 'no name');
  fs.writeFileSync(path.join(folder, 'keys'), 'open-sesame\n');
  fs.writeFileSync(path.join(folder, 'broken.jpg'), 'no picture');
}

function start(...options) {
  return new Promise((good, bad) => {
    const child = spawn(perceptd, ['serve', path.join(folder, 'models'), '--listen', '127.0.0.1:0', '--private-regions', ...options],
      {stdio: ['ignore', 'ignore', 'pipe']});
    let log = '';
    child.stderr.on('data', (piece) => {
      log += piece;
      const found = /at=(http:\/\/127\.0\.0\.1:\d+)/.exec(log);
      if (found && /\bready\b/.test(log)) good({origin: found[1], end: () => child.kill()});
    });
    child.on('exit', (status) => bad(new Error(`perceptd ended with ${status}:\n${log}`)));
  });
}

async function ready(origin) {
  while ((await fetch(`${origin}/v2/health/ready`)).status !== 200) await new Promise((done) => setTimeout(done, 50));
}

// --- what tests say --------------------------------------------------------------------------------------------------

const card = (name) => `article[data-model="${name}"]`;

async function settled(tab) {
  await tab.waitForSelector('main:not([aria-busy]) article, #key:not([hidden])');
}

// The texts of what `selector` finds, once there is any.
async function texts(tab, selector) {
  await tab.waitForSelector(selector);
  return tab.$$eval(selector, (nodes) => nodes.map((node) => node.textContent));
}

async function choose(tab, name, file) {
  await (await tab.waitForSelector(`${card(name)} input[type=file]`)).uploadFile(file);
}

async function stroke(tab, name, points) {
  const canvas = await tab.waitForSelector(`${card(name)} canvas.paper`);
  await canvas.scrollIntoView();
  const box = await canvas.boundingBox();
  const at = ([x, y]) => [box.x + (box.width * x) / 100, box.y + (box.height * y) / 100];
  await tab.mouse.move(...at(points[0]));
  await tab.mouse.down();
  for (const point of points.slice(1)) await tab.mouse.move(...at(point), {steps: 12});
  await tab.mouse.up();
}

const SEVEN = [[28, 24], [72, 24], [46, 82]];

// A model that is not here: its metadata, and what it answers.
async function pretend(tab, model, answer) {
  await tab.setRequestInterception(true);
  tab.on('request', (request) => {
    const where = new URL(request.url()).pathname;
    const json = (body) => request.respond({status: 200, contentType: 'application/json', body: JSON.stringify(body)});
    if (where === '/v2/models') json({models: [model.name]});
    else if (where === `/v2/models/${model.name}`)
      json({versions: ['1'], inputs: [{name: 'x', datatype: 'FP32', shape: [-1, 3, 8, 8]}], outputs: [], ...model});
    else if (where.startsWith(`/v2/models/${model.name}/`)) request.respond(answer);
    else request.continue();
  });
}

const told = (predictions, more) => ({status: 200, contentType: 'application/json', headers: {'Server-Timing': 'infer;dur=1.5'},
  body: JSON.stringify({model_name: 'x', model_version: '1', outputs: [], predictions, ...more})});

const isOverflowing = (tab) => tab.evaluate(() => document.documentElement.scrollWidth > innerWidth);

// How many pixels of what is drawn over a picture are not empty.
const inked = (tab, selector) => tab.$eval(selector, (canvas) => {
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let n = 0;
  for (let i = 3; i < data.length; i += 4) n += data[i] > 0;
  return n / (data.length / 4);
});

// --- tests -----------------------------------------------------------------------------------------------------------

const tests = {
  async 'a 7 drawn with the mouse is read as 7'(tab) {
    await stroke(tab, 'digits', SEVEN);
    assert.strictEqual((await texts(tab, `${card('digits')} .bars .name`))[0], '7');
    assert.match((await texts(tab, `${card('digits')} .time`))[0], /^[0-9.]+ m?s, [0-9.]+ ms of them in the model$/);
    const [line] = await texts(tab, `${card('digits')} pre`);
    assert.match(line, /^curl -H 'Content-Type: image\/png' --data-binary '@drawing.png' 'http:.*\/v2\/models\/digits\/infer'$/);
    await tab.click(`${card('digits')} .input button`);
    assert.strictEqual((await tab.$$(`${card('digits')} .bars`)).length, 0);
  },

  async 'a finger draws as well'(tab) {
    await tab.setViewport({width: 360, height: 800, hasTouch: true, isMobile: true});
    await tab.reload();
    const canvas = await tab.waitForSelector(`${card('digits')} canvas.paper`);
    await canvas.scrollIntoView();
    const box = await canvas.boundingBox();
    const at = ([x, y]) => [box.x + (box.width * x) / 100, box.y + (box.height * y) / 100];
    await tab.touchscreen.touchStart(...at(SEVEN[0]));
    for (const point of [[50, 24], SEVEN[1], [59, 53], SEVEN[2]]) await tab.touchscreen.touchMove(...at(point));
    await tab.touchscreen.touchEnd();
    assert.strictEqual((await texts(tab, `${card('digits')} .bars .name`))[0], '7');
  },

  async 'a drawn digit is a file that can be kept, and chosen'(tab) {
    await stroke(tab, 'digits', SEVEN);
    await tab.waitForSelector(`${card('digits')} a[download]`);
    const bytes = await tab.$eval(`${card('digits')} a[download]`, async (a) =>
      [...new Uint8Array(await (await new Promise((good) => {
        const image = new Image(), canvas = document.createElement('canvas');
        image.onload = () => {
          canvas.width = canvas.height = 280;
          canvas.getContext('2d').drawImage(image, 0, 0);
          canvas.toBlob(good, 'image/png');
        };
        image.src = a.href;
      })).arrayBuffer())]);
    fs.writeFileSync(path.join(folder, 'seven.png'), Buffer.from(bytes));
    await tab.reload();
    await settled(tab);
    await choose(tab, 'digits', path.join(folder, 'seven.png'));
    assert.strictEqual((await texts(tab, `${card('digits')} .bars .name`))[0], '7');
  },

  async 'a JPEG gives bars, and the picture is shown'(tab) {
    await choose(tab, 'cats-dogs', dog);
    const names = await texts(tab, `${card('cats-dogs')} .bars .name`);
    assert.deepStrictEqual(names.sort(), ['cat', 'dog']);
    assert.ok(await tab.$eval(`${card('cats-dogs')} .stage img`, (image) => image.naturalWidth > 0 && image.offsetWidth > 0));
    const widths = await tab.$$eval(`${card('cats-dogs')} .fill`, (nodes) => nodes.map((node) => node.offsetWidth));
    assert.ok(widths[0] > widths[1] && widths[0] > 20, `${widths}`);
  },

  async 'a picture may be dropped or pasted'(tab) {
    const base64 = fs.readFileSync(dog).toString('base64');
    for (const kind of ['drop', 'paste']) {
      await tab.reload();
      await settled(tab);
      await tab.evaluate((selector, text, name) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], 'dog.jpg', {type: 'image/jpeg'}));
        const where = document.querySelector(selector);
        if (name === 'drop') where.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
        else {
          where.closest('article').querySelector('input').focus();
          document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data}));
        }
      }, `${card('cats-dogs')} .zone`, base64, kind);
      assert.strictEqual((await texts(tab, `${card('cats-dogs')} .bars .name`)).length, 2, kind);
    }
  },

  async 'a text is written and asked with keys alone'(tab) {
    await tab.focus(`${card('spam')} textarea`);
    await tab.keyboard.type("WINNER!! Call 09061701461 to claim your prize, it's free");
    await tab.keyboard.down('Control');
    await tab.keyboard.press('Enter');
    await tab.keyboard.up('Control');
    assert.strictEqual((await texts(tab, `${card('spam')} .bars .name`))[0], 'spam');
    assert.match((await texts(tab, `${card('spam')} pre`))[0], /--data-raw 'WINNER!! .*it'\\''s free'/);
    await tab.focus(`${card('digits')} button`);
    await tab.keyboard.press('Tab');
    assert.strictEqual(await tab.evaluate(() => document.activeElement.type), 'file');
  },

  async 'words of a model are words'(tab) {
    await choose(tab, 'hostile', dog);
    const names = await texts(tab, `${card('hostile')} .bars .name`);
    assert.ok(names.includes(HOSTILE) && names.includes('"><b>'), `${names}`);
    assert.ok((await texts(tab, `${card('hostile')} p`)).includes(HOSTILE));
    assert.strictEqual((await tab.$$(`${card('hostile')} .output img, ${card('hostile')} > p img`)).length, 0);
    assert.strictEqual(await tab.title(), 'perceptd');
  },

  async 'tensors are JSON to begin with'(tab) {
    await tab.click(`${card('plain')} form button`);
    assert.match((await texts(tab, `${card('plain')} .tensor`))[0], /^scores FP32 \[1, 2\] -?[0-9.]+ -?[0-9.]+$/);
  },

  async 'what is wrong is said as the server says it'(tab) {
    await choose(tab, 'cats-dogs', path.join(folder, 'broken.jpg'));
    const [sentence] = await texts(tab, `${card('cats-dogs')} .output .error`);
    const direct = await fetch(`${tab.origin}/v2/models/cats-dogs/infer`,
      {method: 'POST', body: 'no picture', headers: {'Content-Type': 'image/jpeg'}});
    assert.strictEqual(sentence, (await direct.json()).error);
    assert.match((await texts(tab, `${card('broken')} .error`))[0], /broken|model/);
    assert.match((await texts(tab, '#left-out li'))[0], /^best \(1\)\.onnx: /);
    tab.expected = /415/;
  },

  async 'boxes and points are drawn over the picture'(tab) {
    await pretend(tab, {name: 'boxes', parameters: {input_kind: 'image', task: 'detect'}}, told([[
      {label: HOSTILE, index: 16, score: 0.83, box: [60, 60, 300, 300], points: [[100, 100, 0.9], [200, 150]]},
      {label: 'turned', index: 2, score: 0.5, box: [20, 100, 120, 140], angle: 0.5}]]));
    await tab.reload();
    await choose(tab, 'boxes', dog);
    assert.deepStrictEqual(await texts(tab, '.found .name'), [HOSTILE, 'turned']);
    const share = await inked(tab, '.stage canvas');
    assert.ok(share > 0.002 && share < 0.5, `${share}`);
  },

  async 'nothing found is said'(tab) {
    await pretend(tab, {name: 'boxes', parameters: {input_kind: 'image', task: 'detect'}}, told([[]]));
    await tab.reload();
    await choose(tab, 'boxes', dog);
    assert.deepStrictEqual(await texts(tab, '.answer p'), ['Nothing was found.']);
  },

  async 'masks are tinted over the picture'(tab) {
    const png = await tab.evaluate(() => {
      const canvas = document.createElement('canvas');
      canvas.width = canvas.height = 40;
      const pen = canvas.getContext('2d');
      pen.fillRect(0, 0, 40, 40);
      pen.fillStyle = 'rgb(15,15,15)';
      pen.fillRect(0, 0, 20, 20);
      return canvas.toDataURL('image/png').split(',')[1];
    });
    await pretend(tab, {name: 'mask', parameters: {input_kind: 'image', task: 'segment'}}, told([{width: 40, height: 40,
      content_type: 'image/png', b64: png, classes: [{label: 'wall', index: 0, share: 0.75}, {label: 'cat', index: 15, share: 0.25}]}]));
    await tab.reload();
    await choose(tab, 'mask', dog);
    assert.deepStrictEqual(await texts(tab, '.bars .name'), ['wall', 'cat']);
    assert.strictEqual(await inked(tab, '.stage canvas'), 0.25);
  },

  async 'a picture that a model made stands beside the posted one'(tab) {
    const b64 = fs.readFileSync(path.join(__dirname, '../http/seven.png')).toString('base64');
    await pretend(tab, {name: 'style', parameters: {input_kind: 'image', task: 'image'}},
      told([{width: 28, height: 28, content_type: 'image/png', b64}]));
    await tab.reload();
    await choose(tab, 'style', dog);
    await tab.waitForSelector('.output figure img');
    assert.ok(await tab.$eval('.output figure img', async (image) => {
      await image.decode();
      return image.naturalWidth > 0;
    }));
    assert.match((await texts(tab, 'figcaption'))[0], /28 × 28/);
    assert.match((await texts(tab, 'pre'))[0], / -H 'Accept: image\/png' -o answer.png /);
  },

  async 'a text goes on as it comes'(tab) {
    const events = [{text_output: 'once '}, {text_output: '<b>upon</b>'}, {text_output: '', finish_reason: 'length', completion_tokens: 2}];
    await pretend(tab, {name: 'writer', parameters: {generate: true}}, {status: 200, contentType: 'text/event-stream',
      body: events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')});
    await tab.reload();
    await tab.waitForSelector(`${card('writer')} form button`);
    await tab.click(`${card('writer')} form button`);
    await tab.waitForFunction(() => /tokens/.test(document.querySelector('.time').textContent));
    assert.deepStrictEqual(await texts(tab, '.answer .prose'), ['once <b>upon</b>']);
    assert.match((await texts(tab, 'pre'))[0], /^curl -N .*\/generate_stream'$/);
  },

  async 'a text of which another one is made is all that is asked for'(tab) {
    await pretend(tab, {name: 'translator', parameters: {generate: true, encoder: true}}, {status: 200,
      contentType: 'text/event-stream', body: `data: ${JSON.stringify({text_output: 'one', finish_reason: 'stop', completion_tokens: 1})}\n\n`});
    await tab.reload();
    await tab.waitForSelector(`${card('translator')} form button`);
    assert.deepStrictEqual(await texts(tab, `${card('translator')} form label`), ['Write a text']);
    await tab.type(`${card('translator')} textarea`, 'eins');
    await tab.click(`${card('translator')} form button`);
    await tab.waitForFunction(() => /tokens/.test(document.querySelector('.time').textContent));
    assert.deepStrictEqual(await texts(tab, '.answer .prose'), ['one']);
    assert.ok((await texts(tab, 'pre'))[0].includes('{"text_input":"eins"}'));
  },

  async 'windows of a sound have their times'(tab) {
    await pretend(tab, {name: 'wake', parameters: {input_kind: 'audio', task: 'classify'}},
      told([[{label: 'yes', index: 1, score: 0.9}], [{label: 'no', index: 0, score: 1.5e-5}]],
        {windows: [{start: 0, end: 0.975}, {start: 0.5, end: 1.475}]}));
    await tab.reload();
    await choose(tab, 'wake', path.join(shared, 'inputs/audio/alexa_test.wav'));
    assert.deepStrictEqual(await texts(tab, '.answer h3'), ['0.00 to 0.97 s', '0.50 to 1.48 s']);
    assert.deepStrictEqual(await texts(tab, '.answer .value'), ['90.0 %', '< 0.1 %']);
    await tab.waitForFunction(() => document.querySelector('.input audio').duration > 0.5);
  },

  async 'a key is asked for, and never shown'(tab, world) {
    await tab.goto(`${world.locked.origin}/`);
    await tab.waitForSelector('#key:not([hidden])');
    tab.expected = /401/;
    assert.match((await texts(tab, '#key-says'))[0], /an API key is needed/);
    for (const key of ['wrong', 'open-sesame']) {
      await tab.focus('#key-text');
      await tab.keyboard.type(key);
      await tab.keyboard.press('Enter');
      await tab.waitForFunction(() => document.querySelector('#key-text').value === '');
      await settled(tab);
    }
    await tab.waitForSelector(`${card('spam')} textarea`); // a card is filled after it is there
    await tab.type(`${card('spam')} textarea`, 'hello');
    await tab.click(`${card('spam')} form button`);
    await texts(tab, `${card('spam')} .bars`);
    assert.match((await texts(tab, `${card('spam')} pre`))[0], /Bearer \$PERCEPTD_KEY/);
    assert.ok(!(await tab.content()).includes('open-sesame'));
    assert.deepStrictEqual(await tab.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]), [0, 0, '']);
  },

  async 'under a base path everything is found'(tab, world) {
    await tab.goto(`${world.based.origin}/models/eu`);
    assert.strictEqual(tab.url(), `${world.based.origin}/models/eu/`);
    await settled(tab);
    await stroke(tab, 'digits', SEVEN);
    assert.strictEqual((await texts(tab, `${card('digits')} .bars .name`))[0], '7');
    assert.match((await texts(tab, `${card('digits')} pre`))[0], /\/models\/eu\/v2\/models\/digits\/infer'$/);
  },

  async 'models are found by name'(tab) {
    await tab.type('#find-text', 'DIG');
    assert.deepStrictEqual(await tab.$$eval('article:not([hidden])', (cards) => cards.map((one) => one.dataset.model)), ['digits']);
  },

  async 'everything that takes something has a name'(tab) {
    const nameless = await tab.evaluate(() => [...document.querySelectorAll('input, textarea, button, canvas.paper, audio, img')]
      .filter((node) => !(node.labels?.length || node.ariaLabel || node.textContent || node.alt)).map((node) => node.outerHTML));
    assert.deepStrictEqual(nameless, []);
  },

  async 'it fits a telephone, and is light or dark as the system is'(tab) {
    const backs = [];
    for (const [look, width] of [['light', 1200], ['dark', 1200], ['light', 360], ['dark', 360]]) {
      await tab.emulateMediaFeatures([{name: 'prefers-color-scheme', value: look}]);
      await tab.setViewport({width, height: 900, deviceScaleFactor: 1, hasTouch: width < 500, isMobile: width < 500});
      await tab.reload();
      await settled(tab);
      await stroke(tab, 'digits', SEVEN);
      await choose(tab, 'cats-dogs', dog);
      await tab.type(`${card('spam')} textarea`, 'WINNER!! Call 09061701461 to claim your prize');
      await tab.click(`${card('spam')} form button`);
      for (const name of ['digits', 'cats-dogs', 'spam']) await texts(tab, `${card(name)} .bars`);
      assert.ok(!(await isOverflowing(tab)), `${look} ${width}`);
      backs.push(await tab.evaluate(() => getComputedStyle(document.body).backgroundColor));
      if (process.env.OUT) await tab.screenshot({path: path.join(process.env.OUT, `page-${look}-${width}.png`), fullPage: true});
    }
    assert.ok(backs[0] === backs[2] && backs[1] === backs[3] && backs[0] !== backs[1], `${backs}`);
  },
};

// Trained models that are not in the tree: their folder, where it is here, and a manifest.
const guests = {
  yolox_nano: () => JSON.parse(fs.readFileSync(path.join(models, 'gallery/yolox_nano/manifest.json'))),
  charrnn_shakespeare: () => ({manifest: 1,
    inputs: {input: {kind: 'text', tokenizer: 'characters', vocabulary: 'vocab.json', max_length: 4096}},
    sequence: {state: [{input: 'h_in', output: 'h_out'}, {input: 'c_in', output: 'c_out'}]},
    generate: {input: 'input', output: 'probs', scores: 'probabilities', max_new_tokens: 1000000}}),
};

const guestTests = {
  async 'a photo gets its boxes'(tab) {
    await choose(tab, 'yolox_nano', path.join(shared, 'inputs/images/darknet_dog.jpg'));
    const names = await texts(tab, `${card('yolox_nano')} .found .name`);
    assert.ok(names.includes('dog') && names.includes('bicycle'), `${names}`);
    assert.ok((await inked(tab, `${card('yolox_nano')} .stage canvas`)) > 0.002);
    if (process.env.OUT) await (await tab.$(card('yolox_nano'))).screenshot({path: path.join(process.env.OUT, 'page-boxes.png')});
  },

  async 'a text grows while it is made, until it is stopped'(tab) {
    const place = card('charrnn_shakespeare');
    await tab.type(`${place} textarea`, 'The king ');
    await tab.$eval(`${place} input[type=number]`, (node) => (node.value = 1000));
    await tab.evaluate((selector) => {
      window.lengths = new Set();
      new MutationObserver(() => lengths.add(document.querySelector(`${selector} .answer`).textContent.length))
        .observe(document.querySelector(`${selector} .answer`), {childList: true, subtree: true});
    }, place);
    await tab.click(`${place} form button`);
    await tab.waitForFunction((selector) => document.querySelector(`${selector} .time`).textContent, {}, place);
    assert.match((await texts(tab, `${place} .time`))[0], /, 1000 tokens, [0-9]+ in a second$/);
    const n = (await texts(tab, `${place} .answer`))[0].length;
    assert.ok(n > 900, `${n} characters`);
    await tab.evaluate(() => lengths.clear());
    await tab.$eval(`${place} input[type=number]`, (node) => (node.value = 1000000));
    await tab.click(`${place} form button`);
    await tab.waitForFunction((selector, least) => document.querySelector(`${selector} .answer`).textContent.length > least && lengths.size > 3, {}, place, n); // seen to grow, long before it could end
    await tab.click(`${place} form button.quiet`);
    await tab.waitForSelector(`${place} .answer:not([aria-busy])`);
    const stopped = (await texts(tab, `${place} .answer`))[0].length;
    assert.ok(stopped < 900000 && stopped > n, `${stopped}`);
  },
};

function inviteGuests() {
  const absent = [];
  Object.entries(guests).forEach(([name, manifest], i) => {
    const from = path.join(shared, 'models', name), to = path.join(folder, 'models', name);
    const test = Object.keys(guestTests)[i];
    if (fs.existsSync(path.join(from, 'model.onnx'))) {
      fs.mkdirSync(to);
      for (const file of fs.readdirSync(from).filter((file) => /\.onnx$|^vocab\.json$/.test(file)))
        fs.copyFileSync(path.join(from, file), path.join(to, file));
      fs.writeFileSync(path.join(to, 'manifest.json'), JSON.stringify(manifest()));
      tests[test] = guestTests[test];
    } else absent.push(`skipped: ${test} (no ${from})`);
  });
  absent.forEach((line) => console.log(line));
  return absent.length;
}

// --- running them ----------------------------------------------------------------------------------------------------

async function run(browser, world, test) {
  const context = await browser.createBrowserContext();
  const tab = await context.newPage();
  const wrong = [];
  tab.setDefaultTimeout(60000);
  tab.origin = world.open.origin;
  tab.on('pageerror', (error) => wrong.push(`${error}`));
  tab.on('console', (message) => ['error', 'warn'].includes(message.type()) && wrong.push(message.text()));
  tab.on('request', (request) => {
    const here = [world.open, world.locked, world.based].some((one) => request.url().startsWith(`${one.origin}/`));
    if (!here && !/^(blob|data):/.test(request.url())) wrong.push(`it asks ${request.url()}`);
  });
  try {
    await tab.goto(`${world.open.origin}/`);
    await settled(tab);
    await test(tab, world);
    const unexpected = wrong.filter((text) => !/status of 503/.test(text) && !(tab.expected && tab.expected.test(text)));
    assert.deepStrictEqual(unexpected, []);
  } finally {
    await context.close();
  }
}

async function main() {
  writeModels();
  const counts = {passed: 0, failed: 0, skipped: inviteGuests()};
  const [open, locked, based] = await Promise.all([start(), start('--api-key-file', path.join(folder, 'keys')),
    start('--base-path', '/models/eu')]);
  const world = {open, locked, based};
  for (const one of Object.values(world)) await ready(one.origin);
  const browser = await puppeteer.launch({executablePath: chromium, args: ['--no-sandbox', '--disable-gpu']});
  for (const [name, test] of Object.entries(tests)) {
    if (process.env.T && !name.includes(process.env.T)) continue;
    try {
      await run(browser, world, test);
      counts.passed++;
    } catch (error) {
      counts.failed++;
      console.log(`failed: ${name}: ${error.message}`);
      if (error.told) console.log(error.told);
    }
  }
  await browser.close();
  for (const one of Object.values(world)) one.end();
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  process.exit(counts.failed ? 1 : 0);
}

main().catch((error) => {
  console.log(`failed: ${error.stack}\n0 passed, 1 failed, 0 skipped`);
  process.exit(1);
});
