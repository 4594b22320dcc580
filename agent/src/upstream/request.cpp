#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "skerry/agent/upstream_request.hpp"
#include "skerry/common/json.hpp"

namespace skerry::agent::upstream {
namespace {

// A server that must be given a limit and whose context is not known.
constexpr std::uint32_t kMostTokens = 32768;
constexpr std::size_t kBytesPerToken = 4;
constexpr std::size_t kFewBytesPerToken = 3;
// No tokenizer has tokens of more bytes than this in running text.
constexpr std::size_t kMostBytesPerToken = 64;

Error unable(std::string_view what) {
  return Error{Error::Code::kUnimplemented, std::string{what}};
}

// 0.7f as 0.7, not as 0.699999988079071.
Json decimal(float value) {
  char text[32] = {};
  std::snprintf(text, sizeof text, "%.6g", static_cast<double>(value));
  return Json{std::strtod(text, nullptr)};
}

void put_sampling(const Quirks& quirks, const runtime::SamplingParams& sampling, Json::Object& to) {
  to.emplace("temperature", decimal(sampling.temperature));
  if (sampling.top_p != 1.0F) {
    to.emplace("top_p", decimal(sampling.top_p));
  }
  if (quirks.top_k && sampling.top_k > 0) {
    to.emplace("top_k", Json{sampling.top_k});
  }
  if (quirks.min_p && sampling.min_p > 0) {
    to.emplace("min_p", decimal(sampling.min_p));
  }
  if (quirks.repetition_penalty && sampling.repeat_penalty != 1.0F) {
    to.emplace("repetition_penalty", decimal(sampling.repeat_penalty));
    if (quirks.repetition_window) {
      to.emplace("repetition_context_size", Json{sampling.repeat_last});
    }
  }
  if (quirks.penalties && sampling.frequency_penalty != 0) {
    to.emplace("frequency_penalty", decimal(sampling.frequency_penalty));
  }
  if (quirks.penalties && sampling.presence_penalty != 0) {
    to.emplace("presence_penalty", decimal(sampling.presence_penalty));
  }
  if (sampling.seed) {
    // A signed number everywhere.
    to.emplace("seed", Json{static_cast<std::int64_t>(*sampling.seed & 0x7fffffffffffffffULL)});
  }
}

void put_log_probs(bool chat, std::uint32_t top, Json::Object& to) {
  if (!chat) {
    to.emplace("logprobs", Json{top});
    return;
  }
  to.emplace("logprobs", Json{true});
  if (top > 0) {
    to.emplace("top_logprobs", Json{top});
  }
}

// Calls and the results that follow them belong together by ids, which not every client has.
class CallIds {
 public:
  // Calls of another message follow.
  void begin() { open_.clear(); }
  std::string of_call(const runtime::ToolCall& call) {
    // Nine letters and digits, which every template takes.
    char made[16] = {};
    std::snprintf(made, sizeof made, "call%05u", ++made_ % 100'000U);
    open_.emplace_back(call.id.empty() ? std::string{made} : call.id, call.name);
    return open_.back().first;
  }
  // Of the first call of that tool that has no result yet; of the first of all if none is named.
  std::string of_result(const runtime::ChatMessage& message) {
    const auto found = std::find_if(open_.begin(), open_.end(), [&message](const auto& call) {
      return message.tool_call_id.empty() ? message.name.empty() || call.second == message.name
                                          : call.first == message.tool_call_id;
    });
    std::string id = message.tool_call_id;
    if (found != open_.end()) {
      id = found->first;
      open_.erase(found);
    }
    return id.empty() ? "call00000" : id;
  }

 private:
  std::vector<std::pair<std::string, std::string>> open_;  // id, tool
  unsigned made_ = 0;
};

Json message_of(const Quirks& quirks, const runtime::ChatMessage& message, CallIds& ids) {
  Json::Object object;
  object.emplace("role", Json{message.role});
  object.emplace("content", Json{message.content});
  if (message.role == "tool") {
    object.emplace("tool_call_id", Json{ids.of_result(message)});
    if (quirks.result_names && !message.name.empty()) {
      object.emplace("name", Json{message.name});
    }
  }
  if (!message.tool_calls.empty()) {
    ids.begin();
    Json::Array calls;
    for (const runtime::ToolCall& call : message.tool_calls) {
      Json::Object function;
      function.emplace("name", Json{call.name});
      function.emplace("arguments", Json{call.arguments.empty() ? "{}" : call.arguments});
      Json::Object one;
      one.emplace("id", Json{ids.of_call(call)});
      one.emplace("type", Json{"function"});
      one.emplace("function", Json{std::move(function)});
      calls.emplace_back(std::move(one));
    }
    object.emplace("tool_calls", Json{std::move(calls)});
    if (message.content.empty()) {
      // As servers themselves tell of a message that has calls alone.
      object["content"] = Json{};
    }
  }
  return Json{std::move(object)};
}

Json::Array messages_of(const Quirks& quirks, const runtime::PromptChat& chat) {
  Json::Array messages;
  CallIds ids;
  for (const runtime::ChatMessage& message : chat.messages) {
    messages.push_back(message_of(quirks, message, ids));
  }
  return messages;
}

// Members whose JSON is text already, in the order in which it was written.
class TextMembers {
 public:
  void add(std::string_view key, std::string_view json) {
    text_ += "," + Json{key}.dump() + ":" + std::string{json};
  }
  // After the members of `object`, of which there is at least one.
  [[nodiscard]] std::string after(std::string object) const {
    object.pop_back();
    return object + text_ + "}";
  }

 private:
  std::string text_;
};

void put_tools(const Quirks& quirks, const runtime::PromptChat& chat, TextMembers& to) {
  using Choice = runtime::ToolRules::Choice;
  if (chat.tools.empty()) {
    return;
  }
  to.add("tools", chat.tools);
  if (chat.rules.choice == Choice::kRequired) {
    to.add("tool_choice", "\"required\"");
  } else if (chat.rules.choice == Choice::kNamed) {
    Json::Object function;
    function.emplace("name", Json{chat.rules.named});
    Json::Object choice;
    choice.emplace("type", Json{"function"});
    choice.emplace("function", Json{std::move(function)});
    to.add("tool_choice", Json{std::move(choice)}.dump());
  }
  if (quirks.parallel_switch && !chat.rules.parallel) {
    to.add("parallel_tool_calls", "false");
  }
}

Result<void> can_call(const Quirks& quirks, const runtime::PromptChat& chat) {
  const bool told =
      std::any_of(chat.messages.begin(), chat.messages.end(), [](const auto& message) {
        return message.role == "tool" || !message.tool_calls.empty();
      });
  if ((told || !chat.tools.empty()) && !quirks.tools) {
    return unable("it takes no tools, nor messages of their calls");
  }
  if (chat.tools.empty()) {
    return {};
  }
  if (chat.rules.choice != runtime::ToolRules::Choice::kAuto && !quirks.tool_choice) {
    return unable("it cannot be made to call a tool: tool_choice must be \"auto\" or \"none\"");
  }
  if (chat.rules.strict && !quirks.strict_tools) {
    return unable("it does not hold calls to a schema: tools must not be strict");
  }
  return {};
}

Result<void> can_generate(const Quirks& quirks, const runtime::GenerateRequest& request) {
  const bool chat = std::holds_alternative<runtime::PromptChat>(request.prompt);
  if (!chat && !quirks.completions) {
    return unable("it has no completions of a plain prompt, chats alone");
  }
  if (std::holds_alternative<runtime::PromptTokens>(request.prompt) && !quirks.token_prompts) {
    return unable("it takes no prompt of tokens; send the text");
  }
  if (const auto* told = std::get_if<runtime::PromptChat>(&request.prompt)) {
    if (Result<void> can = can_call(quirks, *told); !can) {
      return can;
    }
  }
  const bool by_format = quirks.response_format && chat && !request.response_format.empty();
  if (!request.grammar.empty() && !quirks.grammar && !by_format) {
    return unable("it takes no grammar: an answer of a schema cannot be promised");
  }
  if (request.log_probs && !quirks.log_probs) {
    return unable("it tells no log-probabilities in a stream");
  }
  if (request.log_probs && *request.log_probs > *quirks.log_probs) {
    return unable("it tells at most " + std::to_string(*quirks.log_probs) +
                  " most probable tokens");
  }
  if (request.stop.size() > quirks.stops) {
    return unable("it takes at most " + std::to_string(quirks.stops) + " stop strings");
  }
  return {};
}

}  // namespace

Result<void> can_answer(const Quirks& quirks, const runtime::Request& request) {
  if (const auto* generate = std::get_if<runtime::GenerateRequest>(&request)) {
    return can_generate(quirks, *generate);
  }
  if (std::holds_alternative<runtime::EmbedRequest>(request) && !quirks.embeddings) {
    return unable("it makes no embeddings");
  }
  return {};
}

std::size_t prompt_bytes(const runtime::Request& request) {
  std::size_t bytes = 0;
  if (const auto* generate = std::get_if<runtime::GenerateRequest>(&request)) {
    if (const auto* prompt = std::get_if<runtime::Prompt>(&generate->prompt)) {
      bytes = prompt->text.size();
    } else if (const auto* chat = std::get_if<runtime::PromptChat>(&generate->prompt)) {
      for (const runtime::ChatMessage& message : chat->messages) {
        bytes += message.role.size() + message.content.size();
        for (const runtime::ToolCall& call : message.tool_calls) {
          bytes += call.name.size() + call.arguments.size();
        }
      }
      bytes += chat->tools.size();
    } else {
      bytes = std::get<runtime::PromptTokens>(generate->prompt).tokens.size() * kBytesPerToken;
    }
  } else if (const auto* embed = std::get_if<runtime::EmbedRequest>(&request)) {
    for (const std::string& text : embed->texts) {
      bytes += text.size();
    }
  }
  return bytes;
}

std::uint32_t estimated_tokens(std::size_t bytes) {
  return static_cast<std::uint32_t>(
      std::min<std::size_t>((bytes + kBytesPerToken - 1) / kBytesPerToken, 0x7fffffffU));
}

Result<void> check_against(const Spec& spec, const runtime::Request& request) {
  if (const auto* generate = std::get_if<runtime::GenerateRequest>(&request)) {
    const bool chat = std::holds_alternative<runtime::PromptChat>(generate->prompt);
    if (chat ? !spec.chat : !spec.text) {
      return unable(chat ? "this model answers no chats" : "this model completes no plain prompts");
    }
    const std::size_t least = prompt_bytes(request) / kMostBytesPerToken;
    if (spec.context_length > 0 && least >= spec.context_length) {
      return Error{Error::Code::kContextTooLong,
                   "the prompt has at least " + std::to_string(least) +
                       " tokens, the model's context " + std::to_string(spec.context_length)};
    }
    return {};
  }
  if (const auto* embed = std::get_if<runtime::EmbedRequest>(&request)) {
    if (embed->query) {
      return unable("an upstream does not rank documents");
    }
    return spec.embed ? Result<void>{} : Result<void>{unable("this model makes no embeddings")};
  }
  return unable("an upstream neither scores, tokenizes nor computes tensors");
}

Result<void> check_uncut(const Quirks& quirks, const Spec& spec, const runtime::Request& request) {
  const auto* generate = std::get_if<runtime::GenerateRequest>(&request);
  if (!quirks.cuts_prompts || spec.context_length == 0 || generate == nullptr) {
    return {};
  }
  const std::size_t likely = prompt_bytes(request) / kFewBytesPerToken +
                             (generate->max_tokens > 0 ? generate->max_tokens : 1);
  if (likely > spec.context_length) {
    return Error{Error::Code::kContextTooLong,
                 "prompt and answer may take " + std::to_string(likely) +
                     " tokens of a context of " + std::to_string(spec.context_length) +
                     ", and the server cuts silently"};
  }
  return {};
}

Body render(const Quirks& quirks,
            const Spec& spec,
            std::string_view model,
            std::string_view salt,
            const runtime::GenerateRequest& request) {
  Body body;
  Json::Object members;
  TextMembers more;
  members.emplace("model", Json{model});
  members.emplace("stream", Json{true});
  if (quirks.stream_usage) {
    members.emplace("stream_options", Json::Object{{"include_usage", Json{true}}});
  }
  const auto* chat = std::get_if<runtime::PromptChat>(&request.prompt);
  if (chat != nullptr) {
    body.path = "chat/completions";
    members.emplace("messages", messages_of(quirks, *chat));
    put_tools(quirks, *chat, more);
    if (quirks.template_switch && chat->thinking) {
      Json::Object words;
      words.emplace("enable_thinking", Json{*chat->thinking});
      members.emplace("chat_template_kwargs", Json{std::move(words)});
    }
  } else if (const auto* prompt = std::get_if<runtime::Prompt>(&request.prompt)) {
    body.path = "completions";
    members.emplace("prompt", Json{prompt->text});
  } else {
    body.path = "completions";
    Json::Array tokens;
    for (const std::int32_t token : std::get<runtime::PromptTokens>(request.prompt).tokens) {
      tokens.emplace_back(token);
    }
    members.emplace("prompt", std::move(tokens));
  }
  std::uint32_t limit = request.max_tokens;
  if (limit == 0 && quirks.needs_max_tokens) {
    limit = spec.context_length > 0 ? spec.context_length : kMostTokens;
  }
  if (limit > 0) {
    // Completions know the older name alone.
    members.emplace(chat != nullptr ? std::string{quirks.max_tokens} : "max_tokens", Json{limit});
  }
  put_sampling(quirks, request.sampling, members);
  if (!request.stop.empty()) {
    Json::Array stops;
    for (const std::string& stop : request.stop) {
      stops.emplace_back(stop);
    }
    members.emplace("stop", std::move(stops));
  }
  // A grammar is kept to the letter; a schema as far as the server knows its words.
  if (!request.grammar.empty() && quirks.grammar) {
    members.emplace("structured_outputs", Json::Object{{"grammar", Json{request.grammar}}});
  } else if (!request.grammar.empty()) {
    more.add("response_format", request.response_format);
  }
  if (request.log_probs) {
    put_log_probs(chat != nullptr, *request.log_probs, members);
  }
  if (quirks.cache_salt && !salt.empty()) {
    members.emplace("cache_salt", Json{salt});
  }
  body.json = more.after(Json{std::move(members)}.dump());
  return body;
}

Body render(std::string_view model, const runtime::EmbedRequest& request) {
  Json::Array texts;
  for (const std::string& text : request.texts) {
    texts.emplace_back(text);
  }
  Body body;
  body.path = "embeddings";
  body.json = Json{Json::Object{{"model", Json{model}},
                                {"input", Json{std::move(texts)}},
                                {"encoding_format", Json{"float"}}}}
                  .dump();
  return body;
}

}  // namespace skerry::agent::upstream
