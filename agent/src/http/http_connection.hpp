#pragma once

// One HTTP/1.1 connection with its limits and time-outs, over a Unix or a TCP socket: requests in,
// bytes out. Beast parses; responses are written by `http_session.cpp`.

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "skerry/agent/config.hpp"
#include "skerry/async/task.hpp"
#include "skerry/common/result.hpp"

namespace skerry::agent {

struct HttpRequest {
  std::string method;
  // Without the query.
  std::string path;
  std::string body;
  std::string host;
  std::string origin;
  std::string authorization;
  // x-api-key: how Anthropic's clients send their token.
  std::string api_key;
  // anthropic-version; empty if absent.
  std::string anthropic_version;
  // inference-header-content-length: how many bytes of the body are JSON; empty: all.
  std::string json_length;
  std::string accept;
  std::string content_type;
  std::string request_id;
  bool keep_alive = true;
  bool http_1_0 = false;
};

class HttpConnection {
 public:
  virtual ~HttpConnection() = default;
  // The next request; nothing when the client closed or stayed idle. kTooLarge, kParse and
  // kDeadlineExceeded are answered and then the connection ends.
  virtual Task<Result<std::optional<HttpRequest>>> read() = 0;
  // False if the client is gone or took nothing for http.write_timeout.
  virtual Task<bool> write(std::string bytes) = 0;
  // True if the client closed its end. Does not block.
  [[nodiscard]] virtual bool peer_gone() = 0;
  // Sends what is written and closes.
  virtual void close() = 0;
};

std::unique_ptr<HttpConnection> make_connection(boost::asio::local::stream_protocol::socket socket,
                                                const HttpConfig& config);
std::unique_ptr<HttpConnection> make_connection(boost::asio::ip::tcp::socket socket,
                                                const HttpConfig& config);

}  // namespace skerry::agent
