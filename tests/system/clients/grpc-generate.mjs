// Asks skerryd over gRPC with the unmodified @grpc/grpc-js client and prints what it answered as JSON.
//   node grpc-generate.mjs SOCKET MODEL PROMPT
import { join } from 'node:path';
import { createRequire } from 'node:module';

const root = new URL('../../..', import.meta.url).pathname;
const require = createRequire(join(root, 'build/clients/package.json'));
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [socket, model, prompt] = process.argv.slice(2);
const definition = loader.loadSync('skerry/inference/v1/inference.proto', {
  includeDirs: [join(root, 'proto')],
  keepCase: true,
  enums: String,
  longs: Number,
});
const { InferenceService } = grpc.loadPackageDefinition(definition).skerry.inference.v1;
const client = new InferenceService(`unix:${socket}`, grpc.credentials.createInsecure());
const call = client.Generate({ model, prompt, sampling: { temperature: 0 } }, { deadline: Date.now() + 60_000 });
const answer = { text: '' };
call.on('data', (event) => {
  if (event.started) Object.assign(answer, { variant: event.started.variant, model: event.started.model });
  if (event.delta) answer.text += event.delta.text;
  if (event.done) answer.reason = event.done.reason;
  if (event.failure) answer.failure = event.failure;
});
call.on('error', (error) => {
  console.error(`${error.code} ${error.details}`);
  process.exit(1);
});
call.on('end', () => {
  console.log(JSON.stringify(answer));
  client.close();
  process.exit(answer.failure ? 1 : 0);
});
