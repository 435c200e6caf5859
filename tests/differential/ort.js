// ort.js - the other side of the differential test: runs models in ONNX Runtime (npm package
// onnxruntime-node) for theirs.c. Messages on stdin and stdout, little-endian, every one with its length
// (u32) in front:
//   request   u32 models; each: bytes model, u32 inputs, each: bytes name, tensor
//   reply     u32 models; each: u8 status (0 ran, 1 refused when opened, 2 failed when run), bytes why,
//             u32 outputs, each: tensor
//   model     the file's bytes, or "@" and its path
//   tensor    u8 ONNX type, u8 rank, i64 dims, bytes data (strings: u32 length and bytes, one after another)
//   bytes     u32 length, then so many
// It never ends by itself before stdin does. Optimizations are off: what is asked for is what the
// operators mean.
'use strict';
const fs = require('fs');
let ort;
try { ort = require(process.env.ORT_NODE || 'onnxruntime-node'); } catch { process.exit(2); }
ort.env.logLevel = 'fatal';

const TYPES = { 1: ['float32', Float32Array], 2: ['uint8', Uint8Array], 3: ['int8', Int8Array],
  4: ['uint16', Uint16Array], 5: ['int16', Int16Array], 6: ['int32', Int32Array], 7: ['int64', BigInt64Array],
  8: ['string', null], 9: ['bool', Uint8Array], 10: ['float16', Uint16Array], 11: ['float64', Float64Array],
  12: ['uint32', Uint32Array], 13: ['uint64', BigUint64Array] };
const CODES = Object.fromEntries(Object.entries(TYPES).map(([code, [name]]) => [name, Number(code)]));

function readExactly(n) {
  const buffer = Buffer.alloc(n);
  for (let at = 0; at < n;) {
    const got = fs.readSync(0, buffer, at, n - at);
    if (got === 0) process.exit(0);
    at += got;
  }
  return buffer;
}

function writeAll(buffer) {
  for (let at = 0; at < buffer.length;) at += fs.writeSync(1, buffer, at);
}

class Reader {
  constructor(buffer) { this.buffer = buffer; this.at = 0; }
  u8() { return this.buffer[this.at++]; }
  u32() { this.at += 4; return this.buffer.readUInt32LE(this.at - 4); }
  i64() { this.at += 8; return Number(this.buffer.readBigInt64LE(this.at - 8)); }
  bytes() { const n = this.u32(); this.at += n; return this.buffer.subarray(this.at - n, this.at); }
  tensor() {
    const code = this.u8(), rank = this.u8(), dims = [];
    for (let i = 0; i < rank; i++) dims.push(this.i64());
    const data = this.bytes();
    if (!TYPES[code]) throw new Error(`NOT_IMPLEMENTED: no such tensor in JavaScript: ${code}`);
    const [name, ArrayType] = TYPES[code];
    if (ArrayType) { // the slice is a copy that begins at 0: aligned
      const copy = data.buffer.slice(data.byteOffset, data.byteOffset + data.length);
      return new ort.Tensor(name, new ArrayType(copy), dims);
    }
    const strings = [], inner = new Reader(data);
    while (inner.at < data.length) strings.push(inner.bytes().toString());
    return new ort.Tensor(name, strings, dims);
  }
}

class Writer {
  constructor() { this.parts = []; }
  u8(v) { this.parts.push(Buffer.from([v])); }
  u32(v) { const b = Buffer.alloc(4); b.writeUInt32LE(v); this.parts.push(b); }
  i64(v) { const b = Buffer.alloc(8); b.writeBigInt64LE(BigInt(v)); this.parts.push(b); }
  bytes(b) { this.u32(b.length); this.parts.push(b); }
  tensor(t) {
    this.u8(CODES[t.type]);
    this.u8(t.dims.length);
    for (const d of t.dims) this.i64(d);
    if (t.type !== 'string') return this.bytes(Buffer.from(t.data.buffer, t.data.byteOffset, t.data.byteLength));
    const inner = new Writer();
    for (const s of t.data) inner.bytes(Buffer.from(s));
    this.bytes(Buffer.concat(inner.parts));
  }
}

const options = { executionProviders: ['cpu'], graphOptimizationLevel: process.env.ORT_LEVEL || 'disabled',
  intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 4, enableCpuMemArena: false, enableMemPattern: false };

async function one(model, feeds, writer) {
  let session = null, status = 1, why = '', outputs = [];
  try {
    const from = model[0] === 0x40 ? Buffer.from(model).toString('utf8', 1) : model;
    session = await ort.InferenceSession.create(from, options);
    status = 2;
    const ready = {};
    for (const [name, make] of feeds) ready[name] = make();
    const results = await session.run(ready);
    outputs = session.outputNames.map(name => results[name]);
    for (const t of outputs) if (!CODES[t.type]) throw new Error(`NOT_IMPLEMENTED: output type ${t.type}`);
    status = 0;
  } catch (e) { why = String(e.message || e); outputs = []; }
  writer.u8(status);
  writer.bytes(Buffer.from(why.slice(0, 400)));
  writer.u32(outputs.length);
  for (const t of outputs) writer.tensor(t);
  if (session) await session.release();
}

async function main() {
  for (;;) {
    const request = new Reader(readExactly(readExactly(4).readUInt32LE(0)));
    const writer = new Writer(), models = request.u32();
    writer.u32(models);
    for (let m = 0; m < models; m++) {
      const model = Uint8Array.from(request.bytes()), feeds = [];
      for (let n = request.u32(); n > 0; n--) {
        const name = request.bytes().toString();
        let tensor, problem = null;
        const start = request.at;
        try { tensor = request.tensor(); } catch (e) { // skip it by hand, complain when it is run
          problem = e;
          request.at = start + 1;
          request.at += 1 + 8 * request.buffer[request.at];
          request.bytes();
        }
        feeds.push([name, () => { if (problem) throw problem; return tensor; }]);
      }
      await one(model, feeds, writer);
    }
    const reply = Buffer.concat(writer.parts), length = Buffer.alloc(4);
    length.writeUInt32LE(reply.length);
    writeAll(length);
    writeAll(reply);
  }
}
main().catch(e => { console.error(String(e)); process.exit(1); });
