#include "fault.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "skerry/agent/upstream_stream.hpp"
#include "skerry/common/json.hpp"

namespace skerry::agent::upstream {
namespace {

constexpr std::size_t kMostMessage = 300;

std::string lower(std::string_view text) {
  std::string out{text};
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) {
    return static_cast<char>(c < 0x80 ? std::tolower(c) : c);
  });
  return out;
}

// vLLM, llama.cpp, Ollama, OpenAI and mlx_lm each have words of their own for it.
bool says_too_long(std::string_view code, std::string_view message) {
  const std::string words = lower(message);
  static constexpr std::array kPhrases{"maximum context length",
                                       "context length",
                                       "context size",
                                       "context window",
                                       "max prompt token limit",
                                       "prompt is too long",
                                       "input is too long"};
  return code == "context_length_exceeded" || code == "exceed_context_size_error" ||
         std::any_of(kPhrases.begin(), kPhrases.end(), [&words](const char* phrase) {
           return words.find(phrase) != std::string::npos;
         });
}

}  // namespace

std::string readable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kMostMessage)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte >= 0x7f ? ' ' : c;
  }
  return out + (text.size() > kMostMessage ? "…" : "");
}

std::string_view to_string(Blame blame) noexcept {
  switch (blame) {
    case Blame::kRequest:
      return "request";
    case Blame::kBusy:
      return "busy";
    case Blame::kServer:
      return "server";
    case Blame::kMissing:
      return "missing";
    case Blame::kSettings:
      return "settings";
    case Blame::kLost:
      return "lost";
  }
  return "unknown";
}

ErrorText error_text(const Json& error) {
  ErrorText text;
  if (const std::string* message = error.string()) {
    text.message = *message;
    return text;
  }
  const auto read = [&error](std::string_view key) -> std::string {
    const Json* member = error.find(key);
    const std::string* word = member == nullptr ? nullptr : member->string();
    return word == nullptr ? std::string{} : *word;
  };
  text.message = read("message");
  text.code = read("code");
  if (text.code.empty()) {
    text.code = read("type");
  }
  const Json* number = error.find("code");
  if (number != nullptr && number->is_int()) {
    const std::int64_t status = number->as_int().value_or(0);
    text.status = status >= 400 && status < 600 ? static_cast<int>(status) : 0;
  }
  return text;
}

Fault fault_from(int status, const ErrorText& text) {
  using Code = Error::Code;
  const std::string said =
      text.message.empty() ? "status " + std::to_string(status) : readable(text.message);
  const auto fault = [&said](Code code, Blame blame, std::string_view what) {
    return Fault{Error{code, std::string{what} + ": " + said}, blame, std::string{what}};
  };
  if (status >= 400 && status < 500 && says_too_long(text.code, text.message)) {
    return fault(Code::kContextTooLong, Blame::kRequest, "the prompt does not fit");
  }
  switch (status) {
    case 400:
    case 422:
      return fault(Code::kInvalidArgument, Blame::kRequest, "the upstream refused the request");
    case 403:
      // A key, or what a filter thinks of this prompt: one prompt must not take a server from all.
      return fault(Code::kUnavailable, Blame::kServer, "the upstream forbids it");
    case 401:
    case 407:
      return fault(Code::kUnavailable, Blame::kSettings, "the upstream refused our key");
    case 404:
    case 410:
      return fault(Code::kUnavailable, Blame::kMissing, "the upstream does not have the model");
    case 405:
    case 411:
    case 415:
      return fault(Code::kUnavailable, Blame::kSettings, "the upstream has another interface");
    case 413:
      return fault(Code::kTooLarge, Blame::kRequest, "the upstream takes no request of this size");
    case 429:
      return fault(Code::kResourceExhausted, Blame::kBusy, "the upstream is busy");
    case 501:
      return fault(Code::kUnimplemented, Blame::kRequest, "the upstream cannot do that");
    case 503:
    case 529:
      return fault(Code::kUnavailable, Blame::kBusy, "the upstream is busy");
    default:
      break;
  }
  if (status >= 300 && status < 400) {
    return fault(
        Code::kUnavailable, Blame::kSettings, "the upstream redirects, which is not followed");
  }
  return fault(Code::kUnavailable, Blame::kServer, "the upstream failed");
}

Fault fault_of(int status, std::string_view body) {
  ErrorText text;
  JsonLimits limits;
  limits.bytes = AnswerLimits::kErrorBytes;
  if (Result<Json> json = Json::parse(body, limits); json) {
    const Json* error = json->find("error");
    text = error_text(error == nullptr || error->is_null() ? *json : *error);
    if (text.message.empty()) {
      // FastAPI's own: {"detail": …}.
      const Json* detail = json->find("detail");
      text.message = detail != nullptr && detail->string() != nullptr ? *detail->string() : "";
    }
  } else {
    text.message = body;
  }
  return fault_from(status, text);
}

}  // namespace skerry::agent::upstream
