// tokenizers.js BINARY FOLDER MODULES - the daemon's ids beside those of Hugging Face's tokenizers, for each tokenizer of
// tokenizers_made.js. The package tokenizers is judge: every id is the same. @huggingface/tokenizers, which writes some
// things in JavaScript's own way (no Unicode \\w, small letters by their neighbours), is counted.
'use strict';
const fs = require('fs');
const http = require('http');
const path = require('path');
const {spawn} = require('child_process');
const {texts, made} = require('./tokenizers_made.js');

const [binary, folder, modules] = process.argv.slice(2);
const THEIRS = path.resolve(modules);
const SOCKET = path.join(folder, 'socket');
const agent = new http.Agent({keepAlive: true, maxSockets: 8});

function post(name, text) {
    const body = JSON.stringify({inputs: [{name: 'ids', datatype: 'BYTES', shape: [1], data: [text]}]});
    return new Promise((resolve, reject) => {
        const request = http.request({socketPath: SOCKET, agent, method: 'POST', path: `/v2/models/${name}/infer`,
                                      headers: {'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body)}}, (reply) => {
            let all = '';
            reply.setEncoding('utf8').on('data', (part) => (all += part)).on('end', () => resolve({status: reply.statusCode, body: JSON.parse(all)}));
        });
        request.on('error', reject).end(body);
    });
}

// What the daemon makes of each text, some at a time.
async function ours(name, lines) {
    const ids = new Array(lines.length);
    let next = 0;
    await Promise.all(Array.from({length: 8}, async () => {
        for (let i = next++; i < lines.length; i = next++) {
            const {status, body} = await post(name, lines[i]);
            ids[i] = status === 200 ? body.outputs[0].data.join(' ') : `${status} ${body.error}`;
        }
    }));
    return ids;
}

async function judge(name, file, lines, packages) {
    const tokenizer = packages.native.fromString(JSON.stringify(file));
    const config = {tokenizer_class: 'PreTrainedTokenizer', clean_up_tokenization_spaces: false};
    let script = null; // it does not know all types
    try { script = new packages.script(structuredClone(file), config); } catch (error) { }
    const got = await ours(name, lines);
    const failures = [];
    let others = 0, n = 0;
    for (let i = 0; i < lines.length; i++) {
        const want = (await tokenizer.encode(lines[i])).getIds().join(' ');
        const bare = file.post_processor ? got[i].startsWith('400 ') : want === '' && got[i].startsWith('400 ');
        if (bare && want.split(' ').length <= 2)
            continue; // nothing but space: the daemon says so
        n++;
        if (got[i] !== want)
            failures.push(`${name}: ${JSON.stringify(lines[i])}\n    theirs ${want}\n    ours   ${got[i]}`);
        let other = script ? '' : got[i];
        try { other = script ? script.encode(lines[i]).ids.join(' ') : other; } catch (error) { other = String(error); }
        others += other !== got[i];
    }
    console.log(`${name}: ${n} texts, ${failures.length} other than tokenizers', ${script ? others + ' other than' : 'not read by'} @huggingface/tokenizers${script ? "'" : ''}`);
    failures.slice(0, 5).forEach((failure) => console.log(failure));
    return failures.length;
}

async function main() {
    const native = require(path.join(THEIRS, 'tokenizers')).Tokenizer;
    const script = require(path.join(THEIRS, '@huggingface/tokenizers')).Tokenizer;
    const {edges, lines} = texts();
    const files = made(lines);
    for (const [name, file] of Object.entries(files)) {
        fs.mkdirSync(path.join(folder, 'models', name), {recursive: true});
        fs.copyFileSync(path.join(folder, 'ids.onnx'), path.join(folder, 'models', name, 'model.onnx'));
        fs.writeFileSync(path.join(folder, 'models', name, 'tokenizer.json'), JSON.stringify(file));
        fs.writeFileSync(path.join(folder, 'models', name, 'manifest.json'),
                         JSON.stringify({manifest: 1, inputs: {ids: {kind: 'text', tokenizer_json: 'tokenizer.json', max_length: 4096}}}));
    }
    const daemon = spawn(binary, ['serve', path.join(folder, 'models'), '--listen', 'unix:' + SOCKET], {stdio: ['ignore', 'ignore', 'pipe']});
    await new Promise((resolve, reject) => {
        let log = '';
        daemon.on('exit', () => reject(new Error(log)));
        daemon.stderr.on('data', (part) => {
            log += part;
            if (/ info  serving /.test(log))
                resolve();
        });
    });
    let failures = 0;
    for (const [name, file] of Object.entries(files))
        failures += await judge(name, file, [...edges, ...lines.slice(0, 2970)], {native, script});
    daemon.removeAllListeners('exit');
    daemon.kill('SIGTERM');
    agent.destroy();
    console.log(failures ? `${failures} texts have other ids` : 'all ids are those of tokenizers');
    process.exitCode = failures ? 1 : 0;
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
