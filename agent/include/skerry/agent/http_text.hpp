#pragma once

// The parts of HTTP that are plain text work: response heads, chunks, percent decoding, the checks
// of Host and Origin that keep other web pages away from a loopback port. No sockets.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "skerry/common/result.hpp"

namespace skerry::agent {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// A whole response with Content-Length.
std::string http_response(int status,
                          std::string_view content_type,
                          const HttpHeaders& headers,
                          std::string_view body,
                          bool keep_alive);
// The head of a chunked response.
std::string http_stream_head(int status,
                             std::string_view content_type,
                             const HttpHeaders& headers,
                             bool keep_alive);
// One chunk; empty data is not a chunk and gives nothing.
std::string http_chunk(std::string_view data);
std::string_view http_last_chunk() noexcept;

// kParse for a broken escape or a control character.
Result<std::string> percent_decode(std::string_view text);

// True if a Host header ("localhost:11435") names this machine's loopback or one of `allowed`.
bool host_allowed(std::string_view host, const std::vector<std::string>& allowed);
// The same for an Origin header; an absent one (empty) is fine, "null" is not.
bool origin_allowed(std::string_view origin, const std::vector<std::string>& allowed);

}  // namespace skerry::agent
