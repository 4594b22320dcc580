// The npm clients `openai` and `@grpc/grpc-js`, unmodified, against skerryd. run.sh starts it and sets the environment.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, test } from 'node:test';

const root = new URL('../../..', import.meta.url).pathname;
const require = createRequire(join(root, 'build/clients/package.json'));
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const OpenAI = require('openai').default;

const golden = readFileSync(join(root, 'examples/models/log-triage/golden.jsonl'), 'utf8').trim().split('\n').map(JSON.parse);
const [{ prompt, expect }] = golden;
const line = prompt.replace(/^\[INST\] /, '').replace(/ \[\/INST\]$/, '');

function load(path) {
  const definition = loader.loadSync(path, { includeDirs: [join(root, 'proto')], keepCase: true, enums: String, longs: Number });
  return grpc.loadPackageDefinition(definition);
}
const address = `unix:${process.env.SKERRY_API_SOCKET}`;
const insecure = grpc.credentials.createInsecure();
const inference = new (load('skerry/inference/v1/inference.proto').skerry.inference.v1.InferenceService)(address, insecure);
const models = new (load('skerry/models/v1/models.proto').skerry.models.v1.ModelService)(address, insecure);
const kserve = new (load('inference/grpc_predict_v2.proto').inference.GRPCInferenceService)(address, insecure);
const openai = new OpenAI({ baseURL: `${process.env.SKERRY_HTTP}/v1`, apiKey: process.env.SKERRY_TOKEN, maxRetries: 0 });
after(() => [inference, models, kserve].forEach((client) => client.close()));

const deadline = () => ({ deadline: Date.now() + 60_000 });
const unary = (client, method, request) =>
  new Promise((resolve, reject) => {
    client[method](request, deadline(), (error, response) => (error ? reject(error) : resolve(response)));
  });
const collect = (call) =>
  new Promise((resolve, reject) => {
    const events = [];
    call.on('data', (event) => events.push(event));
    call.on('error', reject);
    call.on('end', () => resolve(events));
  });
const text = (events) => events.map((event) => event.delta?.text ?? '').join('');

test('grpc-js: Generate streams Started, text and Done', async () => {
  const events = await collect(inference.Generate({ model: 'default', prompt, sampling: { temperature: 0 } }, deadline()));
  assert.equal(events[0].started?.model, 'acme/log-triage');
  assert.equal(text(events), expect);
  const done = events.at(-1).done;
  assert.equal(done.reason, 'FINISH_REASON_STOP');
  assert.ok(done.usage.completion_tokens > 0);
});

test('grpc-js: Chat applies the template of the model', async () => {
  const events = await collect(
    inference.Chat({ model: 'acme/log-triage', messages: [{ role: 'user', content: line }], sampling: { temperature: 0 } }, deadline()),
  );
  assert.equal(text(events), expect);
});

test('grpc-js: max_tokens ends the answer with LENGTH', async () => {
  const events = await collect(inference.Generate({ model: 'default', prompt, max_tokens: 2, sampling: { temperature: 0 } }, deadline()));
  assert.equal(events.at(-1).done.reason, 'FINISH_REASON_LENGTH');
  assert.equal(events.at(-1).done.usage.completion_tokens, 2);
});

test('grpc-js: eight requests at once are all right', async () => {
  const answers = await Promise.all(
    golden.slice(0, 8).map((item) => collect(inference.Generate({ model: 'default', prompt: item.prompt, sampling: { temperature: 0 } }, deadline()))),
  );
  answers.forEach((events, index) => assert.equal(text(events), golden[index].expect));
});

test('grpc-js: a model that is not there is NOT_FOUND', async () => {
  await assert.rejects(collect(inference.Generate({ model: 'acme/absent', prompt: 'x' }, deadline())), { code: grpc.status.NOT_FOUND });
});

test('grpc-js: a malformed model reference is INVALID_ARGUMENT', async () => {
  await assert.rejects(collect(inference.Generate({ model: '../etc/passwd', prompt: 'x' }, deadline())), {
    code: grpc.status.INVALID_ARGUMENT,
  });
});

test('grpc-js: cancelling ends the call', async () => {
  const call = inference.Generate({ model: 'default', prompt, sampling: { temperature: 0 } }, deadline());
  const failed = new Promise((resolve) => call.on('error', resolve));
  call.on('data', () => call.cancel());
  assert.equal((await failed).code, grpc.status.CANCELLED);
});

test('grpc-js: ListModels names both models', async () => {
  const { models: list } = await unary(models, 'ListModels', {});
  assert.deepEqual(list.map((model) => model.name).sort(), ['acme/log-triage', 'acme/vibration']);
});

test('grpc-js: KServe answers the standard questions', async () => {
  assert.equal((await unary(kserve, 'ServerLive', {})).live, true);
  assert.equal((await unary(kserve, 'ServerReady', {})).ready, true);
  assert.equal((await unary(kserve, 'ModelReady', { name: 'vibration' })).ready, true);
  const metadata = await unary(kserve, 'ModelMetadata', { name: 'vibration' });
  assert.equal(metadata.inputs[0].name, 'window');
});

test('grpc-js: KServe ModelInfer classifies a window', async () => {
  const set = JSON.parse(readFileSync(join(root, 'examples/models/vibration/golden.json'), 'utf8'));
  const [item] = set.cases;
  const response = await unary(kserve, 'ModelInfer', {
    model_name: 'vibration',
    inputs: [
      { name: 'window', datatype: 'FP32', shape: set.shape, contents: { fp32_contents: item.values.map((value) => value * set.scale) } },
    ],
  });
  const output = response.outputs[0];
  const raw = response.raw_output_contents?.[0];
  const values = raw?.length
    ? Array.from({ length: raw.length / 4 }, (_, index) => raw.readFloatLE(index * 4))
    : output.contents.fp32_contents;
  assert.equal(set.classes[values.indexOf(Math.max(...values))], item.expect);
});

test('grpc-js: KServe refuses a wrong shape by name', async () => {
  const request = { model_name: 'vibration', inputs: [{ name: 'window', datatype: 'FP32', shape: [1, 1, 3], contents: { fp32_contents: [1, 2] } }] };
  await assert.rejects(unary(kserve, 'ModelInfer', request), (error) => {
    assert.equal(error.code, grpc.status.INVALID_ARGUMENT);
    assert.match(error.details, /window/);
    return true;
  });
});

const bytes = (name, value) => ({ name, datatype: 'BYTES', shape: [1], contents: { bytes_contents: [Buffer.from(value)] } });
const stream = (requests) => {
  const call = kserve.ModelStreamInfer(deadline());
  requests.forEach((request) => call.write(request));
  call.end();
  return collect(call);
};
const isFinal = (response) => response.infer_response.parameters.triton_final_response.bool_param;

test('grpc-js: KServe ModelStreamInfer streams text and goes on after a bad request', async () => {
  const parameters = JSON.stringify({ temperature: 0, max_tokens: 200 });
  const [bad, ...pieces] = await stream([
    { model_name: 'vibration', id: 'bad', inputs: [{ name: 'window', datatype: 'FP32', shape: [1, 1, 3], contents: { fp32_contents: [1, 2] } }] },
    { model_name: 'default', id: 'good', inputs: [bytes('text_input', prompt), bytes('sampling_parameters', parameters)] },
  ]);
  assert.match(bad.error_message, /window/);
  assert.equal(bad.infer_response.id, 'bad');
  assert.ok(pieces.length > 1);
  assert.equal(pieces.map((piece) => piece.infer_response.outputs[0].contents.bytes_contents[0].toString()).join(''), expect);
  assert.deepEqual(pieces.map(isFinal), pieces.map((_, index) => index === pieces.length - 1));
});

test('grpc-js: KServe tells the configuration of models and indexes them', async () => {
  const { config } = await unary(kserve, 'ModelConfig', { name: 'vibration' });
  assert.equal(config.name, 'acme/vibration');
  assert.equal(config.backend, 'onnx');
  assert.equal(config.input[0].name, 'window');
  assert.equal(config.input[0].data_type, 'TYPE_FP32');
  assert.ok(!config.model_transaction_policy?.decoupled);
  const text = await unary(kserve, 'ModelConfig', { name: 'acme/log-triage' });
  assert.equal(text.config.model_transaction_policy.decoupled, true);
  const { models: index } = await unary(kserve, 'RepositoryIndex', {});
  assert.deepEqual(index.map((model) => model.name).sort(), ['acme/log-triage', 'acme/vibration']);
  assert.ok(index.every((model) => model.state === 'READY'));
});

test('openai: models.list shows what the token may see', async () => {
  const ids = [];
  for await (const model of openai.models.list()) ids.push(model.id);
  assert.ok(ids.some((id) => id.includes('log-triage')), ids.join());
  assert.ok(!ids.some((id) => id.includes('vibration')), ids.join());
});

test('openai: chat.completions.create answers', async () => {
  const completion = await openai.chat.completions.create({
    model: 'acme/log-triage',
    temperature: 0,
    messages: [{ role: 'user', content: line }],
  });
  assert.equal(completion.object, 'chat.completion');
  assert.equal(completion.choices[0].message.content, expect);
  assert.equal(completion.choices[0].finish_reason, 'stop');
  assert.equal(completion.usage.total_tokens, completion.usage.prompt_tokens + completion.usage.completion_tokens);
});

test('openai: streaming gives role first, a finish reason and usage', async () => {
  const stream = await openai.chat.completions.create({
    model: 'acme/log-triage',
    temperature: 0,
    stream: true,
    stream_options: { include_usage: true },
    messages: [{ role: 'user', content: line }],
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  assert.equal(chunks[0].choices[0].delta.role, 'assistant');
  assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? '').join(''), expect);
  assert.ok(chunks.some((chunk) => chunk.choices[0]?.finish_reason === 'stop'));
  assert.ok(chunks.at(-1).usage.completion_tokens > 0);
});

test('openai: a model that the token may not use is a PermissionDeniedError', async () => {
  await assert.rejects(
    openai.chat.completions.create({ model: 'acme/vibration', messages: [{ role: 'user', content: 'x' }] }),
    OpenAI.PermissionDeniedError,
  );
});

test('openai: a wrong token is an AuthenticationError', async () => {
  const other = new OpenAI({ baseURL: `${process.env.SKERRY_HTTP}/v1`, apiKey: 'wrong', maxRetries: 0 });
  await assert.rejects(other.models.list(), OpenAI.AuthenticationError);
});

test('openai: a bad parameter is a BadRequestError that names it', async () => {
  await assert.rejects(
    openai.chat.completions.create({ model: 'acme/log-triage', temperature: 9, messages: [{ role: 'user', content: 'x' }] }),
    (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.match(error.message, /temperature/);
      return true;
    },
  );
});

test('openai: completions.create takes a raw prompt, several prompts and echo', async () => {
  const options = { model: 'acme/log-triage', temperature: 0, max_tokens: 200 };
  const one = await openai.completions.create({ ...options, prompt });
  assert.equal(one.object, 'text_completion');
  assert.equal(one.choices[0].text, expect);
  assert.equal(one.choices[0].finish_reason, 'stop');
  const two = await openai.completions.create({ ...options, prompt: golden.slice(0, 2).map((item) => item.prompt), echo: true });
  two.choices.forEach((choice, index) => assert.equal(choice.text, golden[index].prompt + golden[index].expect));
  assert.ok(two.usage.prompt_tokens > one.usage.prompt_tokens);
});

test('openai: completions stream to a finish reason', async () => {
  const stream = await openai.completions.create({ model: 'acme/log-triage', temperature: 0, max_tokens: 200, prompt, stream: true });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  assert.equal(chunks.map((chunk) => chunk.choices[0].text).join(''), expect);
  assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');
});

test('openai: n answers come with their own index', async () => {
  const messages = [{ role: 'user', content: line }];
  const completion = await openai.chat.completions.create({ model: 'acme/log-triage', temperature: 0, n: 3, messages });
  assert.deepEqual(completion.choices.map((choice) => choice.index), [0, 1, 2]);
  completion.choices.forEach((choice) => assert.equal(choice.message.content, expect));
  const final = await openai.chat.completions.stream({ model: 'acme/log-triage', temperature: 0, n: 2, messages }).finalChatCompletion();
  final.choices.forEach((choice) => assert.equal(choice.message.content, expect));
});

test('openai: logprobs sum to at most one and name the answer', async () => {
  const request = { model: 'acme/log-triage', temperature: 0, messages: [{ role: 'user', content: line }], logprobs: true, top_logprobs: 5 };
  const { choices } = await openai.chat.completions.create(request);
  const tokens = choices[0].logprobs.content;
  assert.equal(tokens.map((token) => token.token).join('').trim(), expect);
  for (const token of tokens) {
    assert.equal(token.top_logprobs.length, 5);
    assert.equal(token.top_logprobs[0].logprob, token.logprob, 'the most probable was answered');
    assert.ok(token.top_logprobs.reduce((sum, one) => sum + Math.exp(one.logprob), 0) < 1.0001);
  }
  const streamed = [];
  for await (const chunk of await openai.chat.completions.create({ ...request, stream: true })) streamed.push(...(chunk.choices[0]?.logprobs?.content ?? []));
  assert.deepEqual(streamed.map((token) => token.token), tokens.map((token) => token.token));
  const older = await openai.completions.create({ model: 'acme/log-triage', temperature: 0, prompt, logprobs: 2, max_tokens: 4 });
  assert.equal(older.choices[0].logprobs.tokens.length, 4);
  assert.equal(older.choices[0].logprobs.top_logprobs.length, 4);
});

const schema = {
  type: 'object',
  properties: {
    severity: { type: 'string', enum: ['critical', 'error', 'warning', 'notice', 'info'] },
    service: { type: 'string', minLength: 1, maxLength: 12 },
    again: { type: 'boolean' },
    hosts: { type: 'array', items: { type: 'integer', minimum: 0, maximum: 99 }, maxItems: 3 },
    note: { anyOf: [{ type: 'null' }, { $ref: '#/$defs/note' }] },
  },
  required: ['severity', 'service', 'again', 'hosts', 'note'],
  additionalProperties: false,
  $defs: { note: { type: 'string', maxLength: 8 } },
};
const fits = (value) => {
  assert.deepEqual(Object.keys(value), ['severity', 'service', 'again', 'hosts', 'note']);
  assert.ok(schema.properties.severity.enum.includes(value.severity));
  assert.ok(value.service.length >= 1 && [...value.service].length <= 12);
  assert.equal(typeof value.again, 'boolean');
  assert.ok(value.hosts.length <= 3 && value.hosts.every((host) => Number.isInteger(host) && host >= 0 && host <= 99));
  assert.ok(value.note === null || [...value.note].length <= 8);
};

test('openai: response_format json_schema gives JSON of the schema, hot and cold', async () => {
  const response_format = { type: 'json_schema', json_schema: { name: 'triage', strict: true, schema } };
  for (const temperature of [0, 1, 2]) {
    const { choices } = await openai.chat.completions.create({ model: 'acme/log-triage', temperature, seed: 7, n: 2, messages: [{ role: 'user', content: line }], response_format });
    for (const choice of choices) {
      assert.equal(choice.finish_reason, 'stop');
      fits(JSON.parse(choice.message.content));
    }
  }
  const parsed = await openai.chat.completions.parse({ model: 'acme/log-triage', temperature: 0, messages: [{ role: 'user', content: line }], response_format });
  fits(JSON.parse(parsed.choices[0].message.content));
  const response = await openai.responses.create({ model: 'acme/log-triage', temperature: 0, input: line, text: { format: { type: 'json_schema', name: 'triage', schema } } });
  fits(JSON.parse(response.output_text));
});

test('openai: response_format json_object gives an object or says that it was cut', async () => {
  const { choices } = await openai.chat.completions.create({
    model: 'acme/log-triage', temperature: 1, seed: 3, n: 4, max_tokens: 400, messages: [{ role: 'user', content: line }], response_format: { type: 'json_object' },
  });
  for (const { finish_reason, message } of choices) {
    if (finish_reason === 'stop') assert.equal(typeof JSON.parse(message.content), 'object');
    else assert.match(message.content, /^\{/);
  }
});

test('openai: a schema that cannot be kept is refused by the name of its keyword', async () => {
  const bad = { type: 'object', properties: { id: { type: 'string', pattern: '^[a-z]+$' } } };
  const response_format = { type: 'json_schema', json_schema: { name: 'x', schema: bad } };
  await assert.rejects(
    openai.chat.completions.create({ model: 'acme/log-triage', messages: [{ role: 'user', content: 'x' }], response_format }),
    (error) => error.status === 400 && error.param === 'response_format.json_schema.schema.properties.id' && /pattern/.test(error.message),
  );
});

test('grpc-js: a grammar binds the answer', async () => {
  const events = await collect(
    inference.Generate({ model: 'default', prompt, sampling: { temperature: 0 }, format: { gbnf: 'root ::= ("red" | "green") " " [0-9]{3}' }, logprobs: 1 }, deadline()),
  );
  assert.match(text(events), /^(red|green) [0-9]{3}$/);
  assert.ok(events.some((event) => event.delta?.logprobs?.length > 0));
});

test('openai: embeddings are the same as base64 (the default) and as numbers', async () => {
  const input = ['disk sda1 failed', 'all is well'];
  const coded = await openai.embeddings.create({ model: 'acme/log-triage', input });
  const plain = await openai.embeddings.create({ model: 'acme/log-triage', input, encoding_format: 'float' });
  assert.equal(coded.data.length, 2);
  assert.ok(coded.usage.prompt_tokens > 2);
  coded.data.forEach(({ embedding }, index) => {
    assert.equal(embedding.length, plain.data[index].embedding.length);
    assert.ok(Math.abs(Math.hypot(...embedding) - 1) < 1e-3);
    embedding.forEach((value, at) => assert.ok(Math.abs(value - plain.data[index].embedding[at]) < 1e-3));
  });
  const dimensions = coded.data[0].embedding.length;
  assert.equal((await openai.embeddings.create({ model: 'acme/log-triage', input, dimensions })).data.length, 2);
  await assert.rejects(openai.embeddings.create({ model: 'acme/log-triage', input, dimensions: dimensions - 1 }), /dimensions/);
});

test('openai: responses.create answers and says that nothing is stored', async () => {
  const response = await openai.responses.create({ model: 'acme/log-triage', temperature: 0, input: line });
  assert.equal(response.output_text, expect);
  assert.equal(response.status, 'completed');
  assert.equal(response.store, false);
  assert.ok(response.usage.output_tokens > 0);
  await assert.rejects(openai.responses.create({ model: 'acme/log-triage', input: line, store: true }), /store/);
  await assert.rejects(openai.responses.create({ model: 'acme/log-triage', input: line, previous_response_id: response.id }), /previous_response_id/);
});

test('openai: responses.stream accumulates to the same answer', async () => {
  const stream = openai.responses.stream({ model: 'acme/log-triage', temperature: 0, input: [{ role: 'user', content: line }] });
  const types = [];
  for await (const event of stream) types.push(event.type);
  assert.equal(types[0], 'response.created');
  assert.equal(types.at(-1), 'response.completed');
  assert.equal((await stream.finalResponse()).output[0].content[0].text, expect);
});
