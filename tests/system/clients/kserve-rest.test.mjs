// The Open Inference Protocol over HTTP, on the Unix socket as the gateway's owner, with Node's own client.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';

const root = new URL('../../..', import.meta.url).pathname;
const set = JSON.parse(readFileSync(join(root, 'examples/models/vibration/golden.json'), 'utf8'));
const [item] = set.cases;
const values = item.values.map((value) => value * set.scale);

const call = (method, path, body, headers = {}) =>
  new Promise((resolve, reject) => {
    const sent = request({ socketPath: process.env.SKERRY_HTTP_SOCKET, method, path, headers: { host: 'localhost', ...headers } }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(parts) }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
const json = async (method, path, body) => {
  const answer = await call(method, path, body === undefined ? undefined : JSON.stringify(body));
  return { status: answer.status, ...JSON.parse(answer.body) };
};
const winner = (numbers) => set.classes[numbers.indexOf(Math.max(...numbers))];

test('kserve REST: the server and its models answer the standard questions', async () => {
  assert.equal((await json('GET', '/v2/health/live')).live, true);
  assert.equal((await json('GET', '/v2/health/ready')).ready, true);
  assert.ok((await json('GET', '/v2')).extensions.includes('binary_tensor_data'));
  assert.equal((await json('GET', '/v2/models/vibration/ready')).ready, true);
  const metadata = await json('GET', '/v2/models/acme%2Fvibration');
  assert.equal(metadata.inputs[0].name, 'window');
  assert.equal(metadata.inputs[0].datatype, 'FP32');
  const index = JSON.parse((await call('POST', '/v2/repository/index')).body);
  assert.deepEqual(index.map((entry) => entry.name).sort(), ['acme/log-triage', 'acme/vibration']);
});

test('kserve REST: infer classifies a window given as JSON', async () => {
  const inputs = [{ name: 'window', shape: set.shape, datatype: 'FP32', data: values }];
  const answer = await json('POST', '/v2/models/acme/vibration/infer', { id: '17', inputs });
  assert.equal(answer.status, 200, JSON.stringify(answer));
  assert.equal(answer.id, '17');
  assert.match(answer.model_version, /^\d+\.\d+\.\d+$/);
  assert.equal(winner(answer.outputs[0].data), item.expect);
});

test('kserve REST: infer takes and gives bytes after the JSON', async () => {
  const raw = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => raw.writeFloatLE(value, index * 4));
  const head = Buffer.from(
    JSON.stringify({
      parameters: { binary_data_output: true },
      inputs: [{ name: 'window', shape: set.shape, datatype: 'FP32', parameters: { binary_data_size: raw.length } }],
    }),
  );
  const answer = await call('POST', '/v2/models/vibration/infer', Buffer.concat([head, raw]), {
    'inference-header-content-length': head.length,
    'content-type': 'application/octet-stream',
  });
  assert.equal(answer.status, 200, answer.body.toString());
  const size = Number(answer.headers['inference-header-content-length']);
  const [output] = JSON.parse(answer.body.subarray(0, size)).outputs;
  const bytes = answer.body.subarray(size);
  assert.equal(output.parameters.binary_data_size, bytes.length);
  assert.equal(winner(Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4))), item.expect);
});

test('kserve REST: what is wrong is named, in its own shape of error', async () => {
  const wrong = await json('POST', '/v2/models/vibration/infer', { inputs: [{ name: 'window', shape: [1, 1, 3], datatype: 'FP32', data: [1, 2] }] });
  assert.equal(wrong.status, 400);
  assert.match(wrong.error, /window/);
  assert.equal((await json('GET', '/v2/models/acme/absent')).status, 404);
  assert.equal((await json('GET', '/v2/models/vibration/infer')).status, 405);
});

test('kserve REST: a model is unloaded and loaded again', async () => {
  assert.equal((await call('POST', '/v2/repository/models/vibration/unload')).status, 200);
  assert.equal((await call('POST', '/v2/repository/models/vibration/load')).status, 200);
});
