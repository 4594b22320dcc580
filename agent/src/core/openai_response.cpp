#include <utility>

#include "skerry/agent/openai.hpp"
#include "skerry/common/json.hpp"

namespace skerry::agent::openai {
namespace {

Json usage_json(const Usage& usage) {
  Json::Object details;
  details.emplace("cached_tokens", Json{usage.cached_tokens});
  Json::Object object;
  object.emplace("prompt_tokens", Json{usage.prompt_tokens});
  object.emplace("completion_tokens", Json{usage.completion_tokens});
  object.emplace("total_tokens", Json{usage.prompt_tokens + usage.completion_tokens});
  object.emplace("prompt_tokens_details", Json{std::move(details)});
  return Json{std::move(object)};
}

Json::Object envelope(const Answer& answer, std::string_view kind) {
  Json::Object object;
  object.emplace("id", Json{answer.id});
  object.emplace("object", Json{kind});
  object.emplace("created", Json{answer.created});
  object.emplace("model", Json{answer.model});
  object.emplace("system_fingerprint", Json{nullptr});
  return object;
}

std::string event(const Json& json) {
  return "data: " + json.dump() + "\n\n";
}

std::string chunk(const Answer& answer, Json::Object delta, Json finish_reason) {
  Json::Object choice;
  choice.emplace("index", Json{0});
  choice.emplace("delta", Json{std::move(delta)});
  choice.emplace("logprobs", Json{nullptr});
  choice.emplace("finish_reason", std::move(finish_reason));
  Json::Array choices;
  choices.emplace_back(std::move(choice));
  Json::Object object = envelope(answer, "chat.completion.chunk");
  object.emplace("choices", Json{std::move(choices)});
  if (answer.include_usage) {
    object.emplace("usage", Json{nullptr});
  }
  return event(Json{std::move(object)});
}

Json model_json(const ModelEntry& model) {
  Json::Object object;
  object.emplace("id", Json{model.id});
  object.emplace("object", Json{"model"});
  object.emplace("created", Json{model.created});
  object.emplace("owned_by", Json{model.owned_by});
  return Json{std::move(object)};
}

Json error_json(const Error& error) {
  const HttpError how = http_error(error.code());
  Json::Object inner;
  inner.emplace("message", Json{error.message()});
  inner.emplace("type", Json{how.type});
  const std::string param = param_of(error);
  inner.emplace("param", param.empty() ? Json{nullptr} : Json{param});
  const bool too_long = error.code() == Error::Code::kContextTooLong;
  inner.emplace(
      "code",
      Json{too_long ? std::string_view{"context_length_exceeded"} : to_string(error.code())});
  Json::Object object;
  object.emplace("error", Json{std::move(inner)});
  return Json{std::move(object)};
}

}  // namespace

std::string completion_body(const Answer& answer,
                            std::string_view text,
                            std::string_view finish_reason,
                            const Usage& usage) {
  Json::Object message;
  message.emplace("role", Json{"assistant"});
  message.emplace("content", Json{text});
  message.emplace("refusal", Json{nullptr});
  Json::Object choice;
  choice.emplace("index", Json{0});
  choice.emplace("message", Json{std::move(message)});
  choice.emplace("logprobs", Json{nullptr});
  choice.emplace("finish_reason", Json{finish_reason});
  Json::Array choices;
  choices.emplace_back(std::move(choice));
  Json::Object object = envelope(answer, "chat.completion");
  object.emplace("choices", Json{std::move(choices)});
  object.emplace("usage", usage_json(usage));
  return Json{std::move(object)}.dump();
}

std::string role_event(const Answer& answer) {
  Json::Object delta;
  delta.emplace("role", Json{"assistant"});
  delta.emplace("content", Json{""});
  return chunk(answer, std::move(delta), Json{nullptr});
}

std::string text_event(const Answer& answer, std::string_view text) {
  Json::Object delta;
  delta.emplace("content", Json{text});
  return chunk(answer, std::move(delta), Json{nullptr});
}

std::string finish_event(const Answer& answer, std::string_view finish_reason) {
  return chunk(answer, {}, Json{finish_reason});
}

std::string usage_event(const Answer& answer, const Usage& usage) {
  Json::Object object = envelope(answer, "chat.completion.chunk");
  object.emplace("choices", Json{Json::Array{}});
  object.emplace("usage", usage_json(usage));
  return event(Json{std::move(object)});
}

std::string error_event(const Error& error) {
  return event(error_json(error));
}

std::string_view done_event() noexcept {
  return "data: [DONE]\n\n";
}

std::string model_list_body(const std::vector<ModelEntry>& models) {
  Json::Array data;
  for (const ModelEntry& model : models) {
    data.push_back(model_json(model));
  }
  Json::Object object;
  object.emplace("object", Json{"list"});
  object.emplace("data", Json{std::move(data)});
  return Json{std::move(object)}.dump();
}

std::string model_body(const ModelEntry& model) {
  return model_json(model).dump();
}

std::string error_body(const Error& error) {
  return error_json(error).dump();
}

HttpError http_error(Error::Code code) noexcept {
  using Code = Error::Code;
  switch (code) {
    case Code::kInvalidArgument:
    case Code::kParse:
    case Code::kContextTooLong:
      return {400, 0, false, "invalid_request_error"};
    case Code::kUnauthenticated:
      return {401, 0, false, "authentication_error"};
    case Code::kPermissionDenied:
      return {403, 0, false, "permission_error"};
    case Code::kNotFound:
      return {404, 0, false, "invalid_request_error"};
    case Code::kAlreadyExists:
      return {409, 0, false, "invalid_request_error"};
    case Code::kTooLarge:
      return {413, 0, false, "invalid_request_error"};
    case Code::kQuotaExceeded:
    case Code::kResourceExhausted:
      return {429, 1, true, "rate_limit_error"};
    case Code::kCancelled:
      return {499, 0, false, "cancelled"};
    case Code::kUnimplemented:
      return {501, 0, false, "invalid_request_error"};
    case Code::kQueueFull:
    case Code::kUnavailable:
    case Code::kWorkerLost:
      return {503, 1, true, "overloaded_error"};
    case Code::kOutOfMemory:
    case Code::kFailedPrecondition:
    case Code::kWorkerSetup:
    case Code::kModelLoad:
    case Code::kPluginInvalid:
      return {503, 0, false, "server_error"};
    case Code::kDeadlineExceeded:
      return {504, 0, false, "timeout_error"};
    default:
      return {500, 0, false, "server_error"};
  }
}

}  // namespace skerry::agent::openai
