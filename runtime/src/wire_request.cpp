#include <algorithm>
#include <utility>

#include "skerry/runtime/text_filter.hpp"

#include "wire.hpp"

namespace skerry::runtime::wire {
namespace {

using AnyPrompt = std::variant<Prompt, PromptTokens, PromptChat>;

void put_chat(PromptChat chat, pb::Messages& out) {
  for (ChatMessage& message : chat.messages) {
    pb::Message& one = *out.add_messages();
    one.set_role(to_valid_utf8(message.role));
    one.set_content(to_valid_utf8(message.content));
    one.set_reasoning(to_valid_utf8(message.reasoning));
    for (const ToolCall& call : message.tool_calls) {
      pb::ToolCall& put = *one.add_tool_calls();
      put.set_id(to_valid_utf8(call.id));
      put.set_name(to_valid_utf8(call.name));
      put.set_arguments(to_valid_utf8(call.arguments));
    }
    one.set_tool_call_id(to_valid_utf8(message.tool_call_id));
    one.set_name(to_valid_utf8(message.name));
  }
  out.set_tools(to_valid_utf8(chat.tools));
  out.set_no_generation_prompt(!chat.add_generation_prompt);
  if (chat.thinking) {
    out.set_thinking(*chat.thinking);
  }
  out.set_answer_begins(to_valid_utf8(chat.answer_begins));
  out.set_now(chat.now);
}

PromptChat parse_chat(pb::Messages& in) {
  PromptChat chat;
  for (pb::Message& message : *in.mutable_messages()) {
    ChatMessage one{std::move(*message.mutable_role()), std::move(*message.mutable_content())};
    one.reasoning = std::move(*message.mutable_reasoning());
    for (pb::ToolCall& call : *message.mutable_tool_calls()) {
      one.tool_calls.push_back({std::move(*call.mutable_id()),
                                std::move(*call.mutable_name()),
                                std::move(*call.mutable_arguments())});
    }
    one.tool_call_id = std::move(*message.mutable_tool_call_id());
    one.name = std::move(*message.mutable_name());
    chat.messages.push_back(std::move(one));
  }
  chat.tools = std::move(*in.mutable_tools());
  chat.add_generation_prompt = !in.no_generation_prompt();
  if (in.has_thinking()) {
    chat.thinking = in.thinking();
  }
  chat.answer_begins = std::move(*in.mutable_answer_begins());
  chat.now = in.now();
  return chat;
}

void put_prompt(AnyPrompt prompt, pb::Prompt& out) {
  if (auto* text = std::get_if<Prompt>(&prompt)) {
    out.set_text(std::move(text->text));
  } else if (auto* tokens = std::get_if<PromptTokens>(&prompt)) {
    put_tokens(tokens->tokens, *out.mutable_tokens()->mutable_tokens());
  } else {
    put_chat(std::get<PromptChat>(std::move(prompt)), *out.mutable_chat());
  }
}

Result<AnyPrompt> parse_prompt(pb::Prompt& in) {
  switch (in.input_case()) {
    case pb::Prompt::kText:
      return AnyPrompt{Prompt{std::move(*in.mutable_text())}};
    case pb::Prompt::kTokens:
      return AnyPrompt{PromptTokens{parse_tokens(in.tokens().tokens())}};
    case pb::Prompt::kChat:
      return AnyPrompt{parse_chat(*in.mutable_chat())};
    case pb::Prompt::INPUT_NOT_SET:
      // A chat without messages and an empty text look alike on the wire.
      return AnyPrompt{Prompt{}};
  }
  return malformed("prompt");
}

void put_meta(const RequestMeta& meta, pb::Meta& out) {
  out.set_id(to_valid_utf8(meta.id.str()));
  out.set_principal(to_valid_utf8(meta.principal));
  out.set_priority(static_cast<std::uint32_t>(meta.priority));
  out.set_deadline_boot_ns(meta.deadline ? std::max<std::int64_t>(meta.deadline->count(), 1) : 0);
  out.set_model(meta.model.raw());
}

Result<RequestMeta> parse_meta(pb::Meta& in) {
  auto model = Digest::from_bytes(as_bytes(in.model()));
  if (!model || in.priority() > 2 || in.deadline_boot_ns() < 0) {
    return malformed("request header");
  }
  RequestMeta meta;
  meta.id = RequestId{std::move(*in.mutable_id())};
  meta.principal = std::move(*in.mutable_principal());
  meta.priority = static_cast<PriorityClass>(in.priority());
  if (in.deadline_boot_ns() != 0) {
    meta.deadline = BootTime{in.deadline_boot_ns()};
  }
  meta.model = *model;
  return meta;
}

void put(GenerateRequest request, pb::Submit& out) {
  pb::Generate& generate = *out.mutable_generate();
  put_prompt(std::move(request.prompt), *generate.mutable_prompt());
  pb::Sampling& sampling = *generate.mutable_sampling();
  sampling.set_temperature(request.sampling.temperature);
  sampling.set_top_k(request.sampling.top_k);
  sampling.set_top_p(request.sampling.top_p);
  sampling.set_min_p(request.sampling.min_p);
  sampling.set_repeat_penalty(request.sampling.repeat_penalty);
  sampling.set_repeat_last(request.sampling.repeat_last);
  sampling.set_frequency_penalty(request.sampling.frequency_penalty);
  sampling.set_presence_penalty(request.sampling.presence_penalty);
  if (request.sampling.seed) {
    sampling.set_seed(*request.sampling.seed);
  }
  generate.set_max_tokens(request.max_tokens);
  for (std::string& stop : request.stop) {
    generate.add_stop(std::move(stop));
  }
  generate.set_grammar(to_valid_utf8(request.grammar));
  for (const std::string& trigger : request.grammar_triggers) {
    generate.add_grammar_triggers(to_valid_utf8(trigger));
  }
  for (const std::string& start : request.grammar_starts) {
    generate.add_grammar_starts(to_valid_utf8(start));
  }
  if (request.log_probs) {
    generate.set_log_probs(*request.log_probs);
  }
}

void put(EmbedRequest request, pb::Submit& out) {
  out.mutable_embed();
  for (std::string& text : request.texts) {
    out.mutable_embed()->add_texts(std::move(text));
  }
  if (request.query) {
    out.mutable_embed()->set_query(*std::move(request.query));
  }
}

void put(ScoreRequest request, pb::Submit& out) {
  AnyPrompt prompt =
      std::visit([](auto& one) -> AnyPrompt { return std::move(one); }, request.prompt);
  put_prompt(std::move(prompt), *out.mutable_score()->mutable_prompt());
  out.mutable_score()->set_top(request.top);
}

void put(TokenizeRequest request, pb::Submit& out) {
  put_prompt(std::move(request.input), *out.mutable_tokenize()->mutable_input());
}

void put(InferRequest request, pb::Submit& out) {
  out.mutable_infer();
  for (Tensor& tensor : request.inputs) {
    put_tensor(std::move(tensor), *out.mutable_infer()->add_inputs());
  }
  for (const std::string& name : request.outputs) {
    out.mutable_infer()->add_outputs(to_valid_utf8(name));
  }
}

Result<Request> parse(RequestMeta meta, pb::Generate& in) {
  auto prompt = parse_prompt(*in.mutable_prompt());
  if (!prompt) {
    return prompt.error();
  }
  GenerateRequest request;
  request.meta = std::move(meta);
  request.prompt = std::move(*prompt);
  const pb::Sampling& sampling = in.sampling();
  request.sampling.temperature = sampling.temperature();
  request.sampling.top_k = sampling.top_k();
  request.sampling.top_p = sampling.top_p();
  request.sampling.min_p = sampling.min_p();
  request.sampling.repeat_penalty = sampling.repeat_penalty();
  request.sampling.repeat_last = sampling.repeat_last();
  request.sampling.frequency_penalty = sampling.frequency_penalty();
  request.sampling.presence_penalty = sampling.presence_penalty();
  if (sampling.has_seed()) {
    request.sampling.seed = sampling.seed();
  }
  request.max_tokens = in.max_tokens();
  request.stop.assign(in.stop().begin(), in.stop().end());
  request.grammar = std::move(*in.mutable_grammar());
  request.grammar_triggers.assign(in.grammar_triggers().begin(), in.grammar_triggers().end());
  request.grammar_starts.assign(in.grammar_starts().begin(), in.grammar_starts().end());
  if (in.has_log_probs()) {
    request.log_probs = in.log_probs();
  }
  return Request{std::move(request)};
}

Result<Request> parse(RequestMeta meta, pb::Embed& in) {
  EmbedRequest request{.meta = std::move(meta),
                       .texts = {std::make_move_iterator(in.mutable_texts()->begin()),
                                 std::make_move_iterator(in.mutable_texts()->end())}};
  if (in.has_query()) {
    request.query = std::move(*in.mutable_query());
  }
  return Request{std::move(request)};
}

Result<Request> parse(RequestMeta meta, pb::Score& in) {
  auto prompt = parse_prompt(*in.mutable_prompt());
  if (!prompt) {
    return prompt.error();
  }
  ScoreRequest request{.meta = std::move(meta), .prompt = Prompt{}, .top = in.top()};
  if (auto* tokens = std::get_if<PromptTokens>(&*prompt)) {
    request.prompt = std::move(*tokens);
  } else if (auto* text = std::get_if<Prompt>(&*prompt)) {
    request.prompt = std::move(*text);
  } else {
    return malformed("score prompt");
  }
  return Request{std::move(request)};
}

Result<Request> parse(RequestMeta meta, pb::Tokenize& in) {
  auto input = parse_prompt(*in.mutable_input());
  if (!input) {
    return input.error();
  }
  return Request{TokenizeRequest{.meta = std::move(meta), .input = std::move(*input)}};
}

Result<Request> parse(RequestMeta meta, pb::Infer& in) {
  auto inputs = parse_tensors(*in.mutable_inputs());
  if (!inputs) {
    return inputs.error();
  }
  return Request{InferRequest{.meta = std::move(meta),
                              .inputs = std::move(*inputs),
                              .outputs = {in.outputs().begin(), in.outputs().end()}}};
}

}  // namespace

void put_request(std::uint64_t key, Request request, pb::Submit& out) {
  out.set_key(key);
  put_meta(meta_of(request), *out.mutable_meta());
  std::visit([&out](auto& one) { put(std::move(one), out); }, request);
}

Result<Request> parse_request(pb::Submit& in) {
  auto meta = parse_meta(*in.mutable_meta());
  if (!meta) {
    return meta.error();
  }
  switch (in.request_case()) {
    case pb::Submit::kGenerate:
      return parse(std::move(*meta), *in.mutable_generate());
    case pb::Submit::kEmbed:
      return parse(std::move(*meta), *in.mutable_embed());
    case pb::Submit::kScore:
      return parse(std::move(*meta), *in.mutable_score());
    case pb::Submit::kTokenize:
      return parse(std::move(*meta), *in.mutable_tokenize());
    case pb::Submit::kInfer:
      return parse(std::move(*meta), *in.mutable_infer());
    case pb::Submit::REQUEST_NOT_SET:
      break;
  }
  return malformed("request");
}

}  // namespace skerry::runtime::wire
