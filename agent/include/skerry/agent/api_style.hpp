#pragma once

// Which HTTP dialect a path belongs to, and how that dialect writes an error. The statuses are one
// table for all (openai::http_error); only the bodies differ. Used by the HTTP front end.

#include <string>
#include <string_view>

#include "skerry/common/error.hpp"

namespace skerry::agent {

enum class ApiStyle { kOpenAi, kAnthropic, kOllama, kKserve };

// By the path alone, so that errors before any routing have the right shape too. The two listings
// that OpenAI and Anthropic share are told apart by the header that Anthropic's clients send.
ApiStyle api_style_of(std::string_view path, bool anthropic_version) noexcept;

// The JSON body of an error. Anthropic's carries the request id.
std::string api_error_body(ApiStyle style, const Error& error, std::string_view request_id);

}  // namespace skerry::agent
