#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "skerry/agent/openai.hpp"
#include "skerry/common/bytes.hpp"
#include "skerry/common/json.hpp"

namespace skerry::agent::openai {
namespace {

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

std::string float_list(const std::vector<float>& values) {
  std::string text{"["};
  std::array<char, 32> number{};
  for (const float value : values) {
    if (text.size() > 1) {
      text += ',';
    }
    const auto end = std::to_chars(number.data(), number.data() + number.size(), value);
    text.append(number.data(), end.ptr);
  }
  return text + "]";
}

std::string embeddings_body(const std::string& model,
                            const std::vector<std::vector<float>>& vectors,
                            bool base64,
                            std::uint32_t prompt_tokens) {
  // By hand: a batch is a million numbers, which need no tree.
  std::string data;
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    data += i > 0 ? R"(,{"embedding":)" : R"({"embedding":)";
    if (base64) {
      Bytes bytes(vectors[i].size() * sizeof(float));
      if (!bytes.empty()) {
        std::memcpy(bytes.data(), vectors[i].data(), bytes.size());
      }
      data += '"' + to_base64(bytes) + '"';
    } else {
      data += float_list(vectors[i]);
    }
    data += R"(,"index":)" + std::to_string(i) + R"(,"object":"embedding"})";
  }
  const std::string tokens = std::to_string(prompt_tokens);
  return R"({"object":"list","data":[)" + data + R"(],"model":)" + Json{model}.dump() +
         R"(,"usage":{"prompt_tokens":)" + tokens + R"(,"total_tokens":)" + tokens + "}}";
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
    case Code::kQuarantined:
      return {422, 0, false, "invalid_request_error"};
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
