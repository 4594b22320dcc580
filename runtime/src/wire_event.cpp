#include <algorithm>
#include <utility>

#include "skerry/runtime/text_filter.hpp"

#include "wire.hpp"

namespace skerry::runtime::wire {
namespace {

constexpr int kMaxTensorInfos = 4096;
constexpr std::int64_t kMaxNanoseconds = std::int64_t{1} << 60U;

void put(Started event, pb::Event& out) {
  pb::Started& started = *out.mutable_started();
  started.set_prompt_tokens(event.prompt_tokens);
  started.set_cached_tokens(event.cached_tokens);
  started.set_queue_wait_ns(event.queue_wait.count());
  started.set_thinking(event.thinking);
}
void put_choice(TokenLogProb::Choice choice, pb::TokenChoice& out) {
  out.set_token(choice.token);
  out.set_piece(std::move(choice.piece));
  out.set_log_prob(choice.log_prob);
}
void put(TextDelta event, pb::Event& out) {
  out.mutable_text()->set_text(std::move(event.text));
  put_tokens(event.tokens, *out.mutable_text()->mutable_tokens());
  for (TokenLogProb& one : event.log_probs) {
    pb::TokenLogProb& put = *out.mutable_text()->add_log_probs();
    put_choice(std::move(one.chosen), *put.mutable_chosen());
    for (TokenLogProb::Choice& choice : one.top) {
      put_choice(std::move(choice), *put.add_top());
    }
  }
}
// A worker tells text alone; the daemon takes thoughts and calls out of it.
void put(const ChatPart&, pb::Event& out) {
  out.mutable_text();
}
void put(const Embeddings& event, pb::Event& out) {
  out.mutable_embeddings();
  for (const std::vector<float>& vector : event.vectors) {
    out.mutable_embeddings()->add_vectors()->mutable_values()->Add(vector.begin(), vector.end());
  }
}
void put(const Scores& event, pb::Event& out) {
  out.mutable_scores();
  for (const TokenScore& score : event.tokens) {
    pb::TokenScore& one = *out.mutable_scores()->add_tokens();
    one.set_token(score.token);
    one.set_log_prob(score.log_prob);
    for (const auto& [token, log_prob] : score.top) {
      one.add_top_tokens(token);
      one.add_top_log_probs(log_prob);
    }
  }
}
void put(Tokens event, pb::Event& out) {
  put_tokens(event.tokens, *out.mutable_tokens()->mutable_tokens());
  out.mutable_tokens()->set_text(std::move(event.text));
}
void put(Tensors event, pb::Event& out) {
  out.mutable_tensors();
  for (Tensor& tensor : event.outputs) {
    put_tensor(std::move(tensor), *out.mutable_tensors()->add_outputs());
  }
}
void put(Done event, pb::Event& out) {
  pb::Done& done = *out.mutable_done();
  done.set_reason(static_cast<std::uint32_t>(event.reason));
  done.set_prompt_tokens(event.usage.prompt_tokens);
  done.set_cached_tokens(event.usage.cached_tokens);
  done.set_completion_tokens(event.usage.completion_tokens);
  done.set_drafts(event.usage.drafts);
  done.set_draft_tokens(event.usage.draft_tokens);
  done.set_accepted_tokens(event.usage.accepted_tokens);
  done.set_queue_ns(event.timing.queue.count());
  done.set_prefill_ns(event.timing.prefill.count());
  done.set_decode_ns(event.timing.decode.count());
  done.set_total_ns(event.timing.total.count());
  done.set_stop_match(std::move(event.stop_match));
}
void put(const Failure& event, pb::Event& out) {
  pb::Failure& failure = *out.mutable_failure();
  failure.set_code(static_cast<std::uint32_t>(event.error.code()));
  failure.set_message(to_valid_utf8(event.error.message()));
  failure.set_retryable(event.retryable);
}

std::chrono::nanoseconds duration(std::int64_t nanoseconds) {
  return std::chrono::nanoseconds{std::clamp<std::int64_t>(nanoseconds, 0, kMaxNanoseconds)};
}

TokenLogProb::Choice parse_choice(pb::TokenChoice& in) {
  return {.token = in.token(), .piece = std::move(*in.mutable_piece()), .log_prob = in.log_prob()};
}

Result<Event> parse_text(pb::TextDelta& in) {
  if (in.log_probs_size() != 0 && in.log_probs_size() != in.tokens_size()) {
    return malformed("list of log-probabilities");
  }
  TextDelta delta;
  delta.text = std::move(*in.mutable_text());
  delta.tokens = parse_tokens(in.tokens());
  for (pb::TokenLogProb& one : *in.mutable_log_probs()) {
    TokenLogProb parsed;
    parsed.chosen = parse_choice(*one.mutable_chosen());
    for (pb::TokenChoice& choice : *one.mutable_top()) {
      parsed.top.push_back(parse_choice(choice));
    }
    delta.log_probs.push_back(std::move(parsed));
  }
  return Event{std::move(delta)};
}

Result<Event> parse_scores(const pb::Scores& in) {
  Scores scores;
  for (const pb::TokenScore& one : in.tokens()) {
    if (one.top_tokens_size() != one.top_log_probs_size()) {
      return malformed("score");
    }
    TokenScore score{.token = one.token(), .log_prob = one.log_prob(), .top = {}};
    for (int i = 0; i < one.top_tokens_size(); ++i) {
      score.top.emplace_back(one.top_tokens(i), one.top_log_probs(i));
    }
    scores.tokens.push_back(std::move(score));
  }
  return Event{std::move(scores)};
}

Result<Event> parse_done(pb::Done& in) {
  if (in.reason() < 1 || in.reason() > 3) {
    return malformed("finish reason");
  }
  Done done;
  done.reason = static_cast<FinishReason>(in.reason());
  done.usage = {.prompt_tokens = in.prompt_tokens(),
                .cached_tokens = in.cached_tokens(),
                .completion_tokens = in.completion_tokens(),
                .drafts = in.drafts(),
                .draft_tokens = in.draft_tokens(),
                .accepted_tokens = in.accepted_tokens()};
  done.timing = {.queue = duration(in.queue_ns()),
                 .prefill = duration(in.prefill_ns()),
                 .decode = duration(in.decode_ns()),
                 .total = duration(in.total_ns())};
  done.stop_match = std::move(*in.mutable_stop_match());
  return Event{std::move(done)};
}

}  // namespace

void put_event(std::uint64_t key, Event event, pb::Event& out) {
  out.set_key(key);
  std::visit([&out](auto& one) { put(std::move(one), out); }, event);
}

Result<Event> parse_event(pb::Event& in) {
  switch (in.event_case()) {
    case pb::Event::kStarted:
      return Event{Started{.prompt_tokens = in.started().prompt_tokens(),
                           .cached_tokens = in.started().cached_tokens(),
                           .queue_wait = duration(in.started().queue_wait_ns()),
                           .thinking = in.started().thinking()}};
    case pb::Event::kText:
      return parse_text(*in.mutable_text());
    case pb::Event::kEmbeddings: {
      Embeddings embeddings;
      for (const pb::Vector& vector : in.embeddings().vectors()) {
        embeddings.vectors.emplace_back(vector.values().begin(), vector.values().end());
      }
      return Event{std::move(embeddings)};
    }
    case pb::Event::kScores:
      return parse_scores(in.scores());
    case pb::Event::kTokens:
      return Event{Tokens{.tokens = parse_tokens(in.tokens().tokens()),
                          .text = to_valid_utf8(in.tokens().text())}};
    case pb::Event::kTensors: {
      auto outputs = parse_tensors(*in.mutable_tensors()->mutable_outputs());
      if (!outputs) {
        return outputs.error();
      }
      return Event{Tensors{std::move(*outputs)}};
    }
    case pb::Event::kDone:
      return parse_done(*in.mutable_done());
    case pb::Event::kFailure:
      return Event{Failure{.error = parse_error(in.failure().code(), in.failure().message()),
                           .retryable = in.failure().retryable()}};
    case pb::Event::EVENT_NOT_SET:
      break;
  }
  return malformed("event");
}

namespace {

void put_infos(const std::vector<TensorInfo>& infos,
               google::protobuf::RepeatedPtrField<pb::TensorInfo>& out) {
  for (const TensorInfo& info : infos) {
    pb::TensorInfo& one = *out.Add();
    one.set_name(info.name);
    one.set_type(static_cast<std::uint32_t>(info.type));
    one.mutable_shape()->Add(info.shape.begin(), info.shape.end());
  }
}

Result<std::vector<TensorInfo>> parse_infos(
    const google::protobuf::RepeatedPtrField<pb::TensorInfo>& in) {
  if (in.size() > kMaxTensorInfos) {
    return malformed("number of tensors");
  }
  std::vector<TensorInfo> infos;
  for (const pb::TensorInfo& one : in) {
    const auto type = static_cast<DataType>(one.type() > 255 ? 0 : one.type());
    if (to_string(type) == "unknown") {
      return malformed("tensor type");
    }
    infos.push_back({one.name(), type, {one.shape().begin(), one.shape().end()}});
  }
  return infos;
}

}  // namespace

void put_model(const ModelInfo& info, pb::Loaded& out) {
  out.set_architecture(info.architecture);
  out.set_accelerator(info.accelerator);
  out.set_can_generate(info.can_generate);
  out.set_can_embed(info.can_embed);
  out.set_can_score(info.can_score);
  out.set_can_rank(info.can_rank);
  out.set_can_chat(info.can_chat);
  out.set_tool_syntax(static_cast<std::uint32_t>(info.chat_style.tools));
  out.set_thinks(info.chat_style.thinks);
  out.set_can_infer(info.can_infer);
  out.set_context_length(info.context_length);
  out.set_context_total(info.context_total);
  out.set_vocabulary(info.vocabulary);
  out.set_embedding_length(info.embedding_length);
  out.set_max_sequences(info.max_sequences);
  put_infos(info.inputs, *out.mutable_inputs());
  put_infos(info.outputs, *out.mutable_outputs());
  out.set_weights_mapped(info.memory.weights_mapped);
  out.set_weights(info.memory.weights);
  out.set_kv(info.memory.kv);
  out.set_compute(info.memory.compute);
}

Result<void> parse_model(const pb::Loaded& in, ModelInfo& info) {
  auto inputs = parse_infos(in.inputs());
  if (!inputs) {
    return inputs.error();
  }
  auto outputs = parse_infos(in.outputs());
  if (!outputs) {
    return outputs.error();
  }
  info.architecture = in.architecture();
  info.accelerator = in.accelerator();
  info.can_generate = in.can_generate();
  info.can_embed = in.can_embed();
  info.can_score = in.can_score();
  info.can_rank = in.can_rank();
  info.can_chat = in.can_chat();
  if (in.tool_syntax() > kLastToolSyntax) {
    return malformed("tool syntax");
  }
  info.chat_style = {.tools = static_cast<ToolSyntax>(in.tool_syntax()), .thinks = in.thinks()};
  info.can_infer = in.can_infer();
  info.context_length = in.context_length();
  info.context_total = in.context_total();
  info.vocabulary = in.vocabulary();
  info.embedding_length = in.embedding_length();
  info.max_sequences = in.max_sequences();
  info.inputs = std::move(*inputs);
  info.outputs = std::move(*outputs);
  info.memory = {.weights_mapped = in.weights_mapped(),
                 .weights = in.weights(),
                 .kv = in.kv(),
                 .compute = in.compute()};
  return {};
}

void put_sandbox(const security::SandboxReport& report, pb::SetupDone& out) {
  for (const security::LayerOutcome& outcome : report.layers) {
    pb::SandboxLayer& layer = *out.add_sandbox();
    layer.set_layer(static_cast<std::uint32_t>(outcome.layer));
    layer.set_achieved(outcome.achieved);
    layer.set_detail(to_valid_utf8(outcome.detail));
  }
}

security::SandboxReport parse_sandbox(const pb::SetupDone& in) {
  security::SandboxReport report;
  for (const security::SandboxLayer layer : security::all_sandbox_layers()) {
    for (const pb::SandboxLayer& one : in.sandbox()) {
      if (one.layer() == static_cast<std::uint32_t>(layer)) {
        report.layers.push_back({layer, one.achieved(), one.detail()});
        break;
      }
    }
  }
  return report;
}

void put_file(const PluginFile& file, pb::File& out) {
  out.set_name(to_valid_utf8(file.name));
  out.set_role(to_valid_utf8(file.role));
  out.set_offset(file.offset);
  out.set_length(file.length);
  out.set_sha256(file.digest.raw());
}

Result<PluginFile> parse_file(const pb::File& in) {
  auto digest = Digest::from_bytes(as_bytes(in.sha256()));
  if (!digest) {
    return malformed("file digest");
  }
  return PluginFile{.name = in.name(),
                    .role = in.role(),
                    .fd = -1,
                    .offset = in.offset(),
                    .length = in.length(),
                    .digest = *digest};
}

void put_error(const Error& error, pb::Failed& out) {
  out.set_code(static_cast<std::uint32_t>(error.code()));
  out.set_message(to_valid_utf8(error.message()));
}

Error parse_error(std::uint32_t code, const std::string& message) {
  const auto known = static_cast<Error::Code>(code);
  if (code > 0xffff || to_string(known) == "unknown") {
    return Error{Error::Code::kWorkerLost, message};
  }
  return Error{known, message};
}

}  // namespace skerry::runtime::wire
