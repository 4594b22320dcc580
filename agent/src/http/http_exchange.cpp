#include "http_exchange.hpp"

#include "skerry/agent/openai.hpp"
#include "skerry/agent/quota_book.hpp"

namespace skerry::agent {
namespace {

HttpHeaders id_header(const std::string& id) {
  HttpHeaders headers;
  headers.emplace_back("x-request-id", id);
  headers.emplace_back("request-id", id);
  return headers;
}

}  // namespace

HttpExchange::HttpExchange(HttpParts& parts,
                           HttpConnection& connection,
                           HttpRequest request,
                           std::string id)
    : parts_(parts),
      connection_(connection),
      request_(std::move(request)),
      id_(std::move(id)),
      style_(api_style_of(request_.path, !request_.anthropic_version.empty())) {}

std::size_t HttpExchange::max_body() const {
  return parts_.core.settings->http().max_body.bytes;
}

std::int64_t HttpExchange::now() const {
  return std::chrono::duration_cast<std::chrono::seconds>(
             parts_.core.clock.wall_now().time_since_epoch())
      .count();
}

Task<bool> HttpExchange::answer(int status,
                                std::string_view type,
                                std::string body,
                                HttpHeaders more) {
  HttpHeaders headers = id_header(id_);
  headers.insert(headers.end(), more.begin(), more.end());
  std::string bytes = http_response(status,
                                    type,
                                    headers,
                                    request_.method == "HEAD" ? std::string_view() : body,
                                    request_.keep_alive);
  co_return co_await connection_.write(std::move(bytes));
}

Task<bool> HttpExchange::json(std::string body) {
  HttpHeaders none;
  co_return co_await answer(200, kJsonType, std::move(body), std::move(none));
}

Task<bool> HttpExchange::fail_with(int status, Error error) {
  const openai::HttpError how = openai::http_error(error.code());
  HttpHeaders headers;
  if (how.retry_after > 0) {
    const auto wait = quota_wait(error).value_or(std::chrono::seconds(how.retry_after));
    headers.emplace_back("retry-after", std::to_string(wait.count()));
  } else if (status >= 500 && !how.retryable) {
    headers.emplace_back("x-should-retry", "false");
  }
  if (status == 401) {
    headers.emplace_back("www-authenticate", "Bearer realm=\"skerry\"");
  }
  std::string body = api_error_body(style_, error, id_);
  co_return co_await answer(status, kJsonType, std::move(body), std::move(headers));
}

Task<bool> HttpExchange::fail(Error error) {
  const int status = openai::http_error(error.code()).status;
  co_return co_await fail_with(status, std::move(error));
}

std::string HttpExchange::pack(std::string bytes) const {
  return chunked_ ? http_chunk(bytes) : std::move(bytes);
}

Task<bool> HttpExchange::begin_stream(std::string_view type, std::string first) {
  chunked_ = !request_.http_1_0;
  std::string head;
  if (chunked_) {
    head = http_stream_head(200, type, id_header(id_), request_.keep_alive);
  } else {
    // HTTP/1.0 has no chunks: the end of the connection is the end of the answer.
    request_.keep_alive = false;
    head = "HTTP/1.0 200 OK\r\ncontent-type: " + std::string(type) + "\r\n\r\n";
  }
  head += pack(std::move(first));
  co_return co_await connection_.write(std::move(head));
}

Task<bool> HttpExchange::write_stream(std::string bytes) {
  if (bytes.empty()) {
    co_return true;
  }
  std::string packed = pack(std::move(bytes));
  co_return co_await connection_.write(std::move(packed));
}

Task<bool> HttpExchange::end_stream(std::string last) {
  std::string bytes = pack(std::move(last));
  if (chunked_) {
    bytes += http_last_chunk();
  }
  if (bytes.empty()) {
    co_return true;
  }
  co_return co_await connection_.write(std::move(bytes));
}

}  // namespace skerry::agent
