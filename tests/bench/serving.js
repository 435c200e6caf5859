// serving.js PORT NAME=MODEL.onnx... - what people write to serve a network from node: http, JSON, onnxruntime-node with
// one thread. POST /v2/models/NAME/infer takes V2's JSON, or the bytes of the one input as application/octet-stream, and
// answers as we do. serving.py measures us against it. ORT=FOLDER/node_modules says where the package is.
'use strict';
const http = require('http'), path = require('path');
const ort = require(process.env.ORT ? path.resolve(process.env.ORT, 'onnxruntime-node') : 'onnxruntime-node');

const SHAPES = { lenet: [1, 1, 28, 28], resnet18: [1, 3, 224, 224] };
const sessions = {};

async function infer(name, type, body) {
  const session = sessions[name];
  let input;
  if (type === 'application/octet-stream') {
    const floats = new Float32Array(body.buffer.slice(body.byteOffset, body.byteOffset + body.byteLength));
    input = new ort.Tensor('float32', floats, SHAPES[name]);
  } else {
    const sent = JSON.parse(body.toString()).inputs[0];
    input = new ort.Tensor('float32', Float32Array.from(sent.data), sent.shape);
  }
  const results = await session.run({ [session.inputNames[0]]: input });
  const outputs = Object.entries(results).map(([output, tensor]) =>
    ({ name: output, datatype: 'FP32', shape: tensor.dims, data: Array.from(tensor.data) }));
  return JSON.stringify({ model_name: name, model_version: '1', outputs });
}

function answer(reply, status, text) {
  reply.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) });
  reply.end(text);
}

function on_request(request, reply) {
  const name = request.url.split('/')[3];
  if (request.method !== 'POST' || !sessions[name]) return answer(reply, 200, '{"live":true}');
  const pieces = [];
  request.on('data', piece => pieces.push(piece));
  request.on('end', () => infer(name, request.headers['content-type'], Buffer.concat(pieces))
    .then(text => answer(reply, 200, text), error => answer(reply, 500, JSON.stringify({ error: String(error) }))));
}

async function main(port, models) {
  for (const model of models) {
    const [name, file] = model.split('=');
    sessions[name] = await ort.InferenceSession.create(file, { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 });
  }
  http.createServer(on_request).listen(Number(port), '127.0.0.1');
}

main(process.argv[2], process.argv.slice(3)).catch(error => { console.error(String(error)); process.exit(1); });
