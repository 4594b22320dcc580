#pragma once

// The two halves of an HTTP/1.1 exchange with a server, as bytes: the request to send, and a reader
// of the response that is fed what arrives (Beast parses). No sockets.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "skerry/common/result.hpp"

namespace skerry::agent::upstream {

// "https://host[:port][/path]" taken apart.
struct Url {
  bool tls = false;
  std::string host;  // without brackets
  std::string port;
  std::string path;  // "/v1"; empty: the root

  // As a Host header says it.
  [[nodiscard]] std::string authority() const;
};

// kInvalidArgument says what is wrong; user names, queries and fragments are refused.
Result<Url> parse_url(std::string_view text);

struct HttpAsk {
  std::string method;  // "GET", "POST"
  std::string target;
  std::string host;
  // The value of the Authorization header; empty: none.
  std::string authorization;
  std::string accept;
  std::string body;
};

// Always with a Content-Length: mlx_lm.server takes no chunked body.
std::string write_request(const HttpAsk& ask);

class ReplyReader {
 public:
  // Bodies beyond `most` bytes are refused.
  explicit ReplyReader(std::uint64_t most);
  ~ReplyReader();
  ReplyReader(const ReplyReader&) = delete;
  ReplyReader& operator=(const ReplyReader&) = delete;

  // kUnavailable for what is no HTTP response, kTooLarge beyond a limit.
  Result<void> feed(std::string_view bytes);
  // The connection ended: right for a body without a length, kUnavailable for a torso.
  Result<void> finish();

  [[nodiscard]] bool has_head() const;
  // All of it is there.
  [[nodiscard]] bool complete() const;
  [[nodiscard]] int status() const;
  // Lower case, without parameters.
  [[nodiscard]] std::string content_type() const;
  // Whole seconds of Retry-After, at most an hour; 0: none.
  [[nodiscard]] std::uint32_t retry_after() const;
  // What arrived of the body since the last call.
  std::string take_body();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::agent::upstream
