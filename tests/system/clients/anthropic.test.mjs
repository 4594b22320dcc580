// The npm client `@anthropic-ai/sdk`, unmodified, against skerryd. run.sh starts it and sets the environment.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';

const root = new URL('../../..', import.meta.url).pathname;
const require = createRequire(join(root, 'build/clients/package.json'));
const Anthropic = require('@anthropic-ai/sdk').default;

const [{ prompt, expect }] = readFileSync(join(root, 'examples/models/log-triage/golden.jsonl'), 'utf8').trim().split('\n').map(JSON.parse);
const line = prompt.replace(/^\[INST\] /, '').replace(/ \[\/INST\]$/, '');
const anthropic = new Anthropic({ baseURL: process.env.SKERRY_HTTP, apiKey: process.env.SKERRY_TOKEN, maxRetries: 0 });
const request = { model: 'acme/log-triage', max_tokens: 200, temperature: 0, messages: [{ role: 'user', content: line }] };

test('anthropic: messages.create answers', async () => {
  const message = await anthropic.messages.create(request);
  assert.equal(message.type, 'message');
  assert.equal(message.content[0].text, expect);
  assert.equal(message.stop_reason, 'end_turn');
  assert.ok(message.usage.input_tokens + message.usage.cache_read_input_tokens > 0);
  assert.ok(message.usage.output_tokens > 0);
});

test('anthropic: messages.stream gives every event in order and the same text', async () => {
  const stream = anthropic.messages.stream(request);
  const types = [];
  for await (const event of stream) types.push(event.type);
  const message = await stream.finalMessage();
  assert.equal(message.content[0].text, expect);
  assert.equal(message.stop_reason, 'end_turn');
  assert.deepEqual(types.slice(0, 2), ['message_start', 'content_block_start']);
  assert.deepEqual(types.slice(-3), ['content_block_stop', 'message_delta', 'message_stop']);
  assert.ok(types.includes('content_block_delta'));
});

test('anthropic: max_tokens ends the message with max_tokens', async () => {
  const message = await anthropic.messages.create({ ...request, max_tokens: 2 });
  assert.equal(message.stop_reason, 'max_tokens');
  assert.equal(message.usage.output_tokens, 2);
});

test('anthropic: countTokens says what the message costs', async () => {
  const { input_tokens } = await anthropic.messages.countTokens({ model: request.model, messages: request.messages });
  const message = await anthropic.messages.create({ ...request, max_tokens: 1 });
  assert.equal(input_tokens, message.usage.input_tokens + message.usage.cache_read_input_tokens);
});

test('anthropic: models.list shows what the token may see', async () => {
  const ids = [];
  for await (const model of anthropic.models.list()) ids.push(model.id);
  assert.deepEqual(ids, ['acme/log-triage']);
});

test('anthropic: errors are the classes of the client', async () => {
  await assert.rejects(anthropic.messages.create({ ...request, model: 'acme/vibration' }), Anthropic.PermissionDeniedError);
  await assert.rejects(anthropic.messages.create({ ...request, model: 'acme/log-absent' }), Anthropic.NotFoundError);
  await assert.rejects(anthropic.messages.create({ ...request, tools: [{ name: 'x', input_schema: { type: 'object' } }] }), (error) => {
    assert.ok(error instanceof Anthropic.BadRequestError);
    assert.equal(error.error.error.type, 'invalid_request_error');
    assert.match(error.message, /tools/);
    return true;
  });
  const other = new Anthropic({ baseURL: process.env.SKERRY_HTTP, apiKey: 'wrong', maxRetries: 0 });
  await assert.rejects(other.models.list(), Anthropic.AuthenticationError);
});

test('anthropic: output_config.format gives JSON of the schema', async () => {
  const schema = {
    type: 'object',
    properties: { severity: { type: 'string', enum: ['low', 'high'] }, again: { type: 'boolean' } },
    required: ['severity', 'again'],
    additionalProperties: false,
  };
  const message = await anthropic.messages.create({ ...request, output_config: { format: { type: 'json_schema', schema } } });
  const value = JSON.parse(message.content[0].text);
  assert.ok(['low', 'high'].includes(value.severity));
  assert.equal(typeof value.again, 'boolean');
});
