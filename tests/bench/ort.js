// ort.js MODEL CASE SECONDS - what one run of a stored case (CASE/meta.json) takes of a core in ONNX Runtime, on one
// thread: prints JSON {ms, overhead} for peers.py, each the best stretch of 20 ms. overhead is the binding's own share:
// what it takes to run a network of one Identity, which is made here. The npm package
// onnxruntime-node is found on NODE_PATH.
'use strict';
const fs = require('fs'), path = require('path');
const ort = require('onnxruntime-node');

const ARRAYS = { float32: Float32Array, float64: Float64Array, bool: Uint8Array, int8: Int8Array, uint8: Uint8Array,
  int16: Int16Array, uint16: Uint16Array, int32: Int32Array, int64: BigInt64Array };
const ALONE = { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 };

function stored(folder, one) {
  const bytes = fs.readFileSync(path.join(folder, one.file));
  const whole = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  return new ort.Tensor(one.dtype, new ARRAYS[one.dtype](whole), one.shape);
}

// ModelProto of y = Identity(x), float[1]; everything in it is shorter than 128 bytes
function identity() {
  const part = (field, content) => Buffer.concat([Buffer.from([field << 3 | 2, content.length]), Buffer.from(content)]);
  const number = (field, value) => Buffer.from([field << 3, value]);
  const type = part(2, part(1, Buffer.concat([number(1, 1), part(2, part(1, number(1, 1)))])));
  const value = name => Buffer.concat([part(1, name), type]);
  const node = Buffer.concat([part(1, 'x'), part(2, 'y'), part(4, 'Identity')]);
  const graph = Buffer.concat([part(1, node), part(2, 'g'), part(11, value('x')), part(12, value('y'))]);
  return Buffer.concat([number(1, 7), part(7, graph), part(8, number(2, 13))]);
}

async function time(session, feeds, seconds) {
  const now = () => Number(process.hrtime.bigint()) / 1e6, cpu = () => { const u = process.cpuUsage(); return (u.user + u.system) / 1e3; };
  await session.run(feeds);
  for (const end = now() + seconds * 100; now() < end;) await session.run(feeds);
  let least = Infinity;
  for (const end = now() + seconds * 1000, t = { stretches: 0 }; t.stretches < 5 || now() < end; t.stretches++) {
    const from = now(), used = cpu();
    let n = 0;
    for (; n === 0 || now() - from < 20; n++) await session.run(feeds);
    least = Math.min(least, (cpu() - used) / n);
  }
  return least;
}

async function main([model, folder, seconds]) {
  const feeds = {};
  for (const one of JSON.parse(fs.readFileSync(path.join(folder, 'meta.json'))).inputs) feeds[one.name] = stored(folder, one);
  const ms = await time(await ort.InferenceSession.create(model, ALONE), feeds, Number(seconds));
  const empty = await ort.InferenceSession.create(identity(), ALONE);
  const overhead = await time(empty, { x: new ort.Tensor('float32', new Float32Array(1), [1]) }, 0.1);
  console.log(JSON.stringify({ ms, overhead }));
}
main(process.argv.slice(2)).catch(why => { console.error(String(why)); process.exitCode = 1; });
