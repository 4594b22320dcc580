#include "skerry/agent/api_style.hpp"

#include <utility>

#include "skerry/agent/anthropic.hpp"
#include "skerry/agent/openai.hpp"
#include "skerry/common/json.hpp"

namespace skerry::agent {

ApiStyle api_style_of(std::string_view path, bool anthropic_version) noexcept {
  if (path == "/api" || path.starts_with("/api/")) {
    return ApiStyle::kOllama;
  }
  // Cohere's call beside KServe's.
  if (path != "/v2/rerank" && (path == "/v2" || path.starts_with("/v2/"))) {
    return ApiStyle::kKserve;
  }
  if (path == "/v1/messages" || path.starts_with("/v1/messages/")) {
    return ApiStyle::kAnthropic;
  }
  if (anthropic_version && (path == "/v1/models" || path.starts_with("/v1/models/"))) {
    return ApiStyle::kAnthropic;
  }
  return ApiStyle::kOpenAi;
}

std::string api_error_body(ApiStyle style, const Error& error, std::string_view request_id) {
  switch (style) {
    case ApiStyle::kAnthropic:
      return anthropic::error_body(error, request_id);
    case ApiStyle::kOllama:
    case ApiStyle::kKserve: {
      Json::Object object;
      object.emplace("error", Json{error.to_string()});
      return Json{std::move(object)}.dump();
    }
    case ApiStyle::kOpenAi:
      break;
  }
  return openai::error_body(error);
}

}  // namespace skerry::agent
