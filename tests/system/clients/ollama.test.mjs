// The npm client `ollama`, unmodified, against skerryd. run.sh starts it and sets the environment.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';

const root = new URL('../../..', import.meta.url).pathname;
const require = createRequire(join(root, 'build/clients/package.json'));
const { Ollama } = require('ollama');

const [{ prompt, expect }] = readFileSync(join(root, 'examples/models/log-triage/golden.jsonl'), 'utf8').trim().split('\n').map(JSON.parse);
const line = prompt.replace(/^\[INST\] /, '').replace(/ \[\/INST\]$/, '');
const headers = { Authorization: `Bearer ${process.env.SKERRY_TOKEN}` };
const ollama = new Ollama({ host: process.env.SKERRY_HTTP, headers });
const model = 'acme/log-triage';
const options = { temperature: 0, repeat_penalty: 1 };
const messages = [{ role: 'user', content: line }];

test('ollama: chat answers with durations in nanoseconds', async () => {
  const response = await ollama.chat({ model, messages, options });
  assert.equal(response.message.content, expect);
  assert.equal(response.done_reason, 'stop');
  assert.ok(response.eval_count > 0);
  assert.ok(response.total_duration > 1000);
});

test('ollama: chat streams lines and ends with done', async () => {
  const parts = [];
  for await (const part of await ollama.chat({ model, messages, options, stream: true })) parts.push(part);
  assert.equal(parts.map((part) => part.message.content).join(''), expect);
  assert.equal(parts.at(-1).done, true);
  assert.ok(parts.slice(0, -1).every((part) => part.done === false));
});

test('ollama: generate takes a raw prompt and a templated one', async () => {
  assert.equal((await ollama.generate({ model, prompt, raw: true, options })).response, expect);
  assert.equal((await ollama.generate({ model: `${model}:latest`, prompt: line, options })).response, expect);
  const cut = await ollama.generate({ model, prompt: line, options: { ...options, num_predict: 2 } });
  assert.equal(cut.done_reason, 'length');
  assert.equal(cut.eval_count, 2);
});

test('ollama: format is a schema or json', async () => {
  const format = {
    type: 'object',
    properties: { severity: { enum: ['low', 'high'] }, codes: { type: 'array', items: { type: 'integer', minimum: 0, maximum: 9 }, minItems: 1, maxItems: 4 } },
    required: ['severity', 'codes'],
  };
  for (const seed of [1, 2, 3]) {
    const { message, done_reason } = await ollama.chat({ model, messages, format, options: { temperature: 1, seed } });
    assert.equal(done_reason, 'stop');
    const value = JSON.parse(message.content);
    assert.ok(['low', 'high'].includes(value.severity));
    assert.ok(value.codes.length >= 1 && value.codes.length <= 4);
  }
  const { response, done_reason } = await ollama.generate({ model, prompt: line, format: 'json', options: { temperature: 1, seed: 4, num_predict: 400 } });
  if (done_reason === 'stop') assert.equal(typeof JSON.parse(response), 'object');
  else assert.match(response, /^\{/);
});

test('ollama: logprobs come with each part', async () => {
  const whole = await ollama.chat({ model, messages, options, logprobs: true, top_logprobs: 2 });
  assert.ok(whole.logprobs.length > 0);
  assert.equal(whole.logprobs[0].top_logprobs.length, 2);
});

test('ollama: embed and embeddings give vectors', async () => {
  const { embeddings, prompt_eval_count } = await ollama.embed({ model, input: ['one line', 'another'] });
  assert.equal(embeddings.length, 2);
  assert.ok(prompt_eval_count > 0);
  const { embedding } = await ollama.embeddings({ model, prompt: 'one line' });
  assert.equal(embedding.length, embeddings[0].length);
  embedding.forEach((value, index) => assert.ok(Math.abs(value - embeddings[0][index]) < 1e-3));
});

test('ollama: list, show, ps and version tell what is here', async () => {
  const { models } = await ollama.list();
  assert.equal(models.length, 1);
  assert.match(models[0].name, /^acme\/log-triage:\d/);
  assert.match(models[0].digest, /^[0-9a-f]{64}$/);
  assert.ok(models[0].size > 1000);
  const shown = await ollama.show({ model });
  assert.equal(shown.details.format, 'gguf');
  assert.ok(shown.capabilities.includes('completion'));
  assert.deepEqual((await ollama.ps()).models.map((entry) => entry.name), [models[0].name]);
  assert.match((await ollama.version()).version, /^\d+\.\d+\.\d+/);
});

test('ollama: an empty prompt loads, keep_alive 0 unloads', async () => {
  assert.equal((await ollama.generate({ model, prompt: '', keep_alive: 0 })).done_reason, 'unload');
  assert.deepEqual((await ollama.ps()).models, []);
  assert.equal((await ollama.generate({ model, prompt: '' })).done_reason, 'load');
  assert.equal((await ollama.ps()).models.length, 1);
  assert.equal((await ollama.chat({ model, messages, options, keep_alive: '5m' })).message.content, expect);
});

test('ollama: pull succeeds for what the fleet has sent and says so for the rest', async () => {
  const steps = [];
  for await (const step of await ollama.pull({ model, stream: true })) steps.push(step.status);
  assert.equal(steps.at(-1), 'success');
  assert.equal((await ollama.pull({ model })).status, 'success');
  await assert.rejects(ollama.pull({ model: 'acme/log-absent' }), { status_code: 404 });
});

test('ollama: what would change models is refused, never faked', async () => {
  await assert.rejects(ollama.delete({ model }), { status_code: 403 });
  await assert.rejects(ollama.create({ model: 'acme/mine', from: model }), { status_code: 403 });
  await assert.rejects(ollama.copy({ source: model, destination: 'acme/copy' }), { status_code: 403 });
});

test('ollama: errors carry status and reason', async () => {
  await assert.rejects(ollama.chat({ model: 'acme/vibration', messages }), { status_code: 403 });
  await assert.rejects(ollama.chat({ model: 'acme/log-absent', messages }), { status_code: 404 });
  await assert.rejects(ollama.chat({ model, messages, format: { type: 'string', pattern: 'a' } }), (error) => {
    assert.equal(error.status_code, 400);
    assert.match(error.message, /format.*pattern/);
    return true;
  });
  await assert.rejects(new Ollama({ host: process.env.SKERRY_HTTP }).list(), { status_code: 401 });
});

test('ollama: breaking out of a stream leaves the daemon free', async () => {
  const stream = await ollama.chat({ model, messages, options, stream: true });
  for await (const part of stream) {
    assert.ok(part);
    stream.abort();
    break;
  }
  assert.equal((await ollama.chat({ model, messages, options })).message.content, expect);
});
