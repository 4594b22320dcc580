#include "http_connection.hpp"

#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <sys/socket.h>

namespace skerry::agent {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

std::string text(beast::string_view view) {
  return std::string(view.data(), view.size());
}

Error read_error(const beast::error_code& ec, const HttpConfig& config) {
  if (ec == http::error::header_limit || ec == http::error::buffer_overflow) {
    return Error{Error::Code::kTooLarge,
                 "the header has more than " + std::to_string(config.max_header.bytes) + " bytes"};
  }
  if (ec == http::error::body_limit) {
    return Error{Error::Code::kTooLarge,
                 "the body has more than " + std::to_string(config.max_body.bytes) + " bytes"};
  }
  if (ec == beast::error::timeout) {
    return Error{Error::Code::kDeadlineExceeded, "the request did not arrive in time"};
  }
  return Error{Error::Code::kParse, "not an HTTP request: " + ec.message()};
}

HttpRequest to_request(http::request<http::string_body>& message) {
  HttpRequest request;
  request.method = text(message.method_string());
  request.path = text(message.target());
  request.path.resize(std::min(request.path.find('?'), request.path.size()));
  request.body = std::move(message.body());
  request.host = text(message[http::field::host]);
  request.origin = text(message[http::field::origin]);
  request.authorization = text(message[http::field::authorization]);
  request.api_key = text(message["x-api-key"]);
  request.anthropic_version = text(message["anthropic-version"]);
  request.json_length = text(message["inference-header-content-length"]);
  request.accept = text(message[http::field::accept]);
  request.content_type = text(message[http::field::content_type]);
  request.request_id = text(message["x-request-id"]);
  request.keep_alive = message.keep_alive();
  request.http_1_0 = message.version() == 10;
  return request;
}

template <class Protocol>
class Connection final : public HttpConnection {
 public:
  using Socket = typename Protocol::socket;

  Connection(Socket socket, const HttpConfig& config)
      : stream_(std::move(socket)), config_(config), buffer_(config.max_header.bytes * 2) {}

  Task<Result<std::optional<HttpRequest>>> read() override {
    using Answer = Result<std::optional<HttpRequest>>;
    http::request_parser<http::string_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(config_.max_header.bytes));
    parser.body_limit(config_.max_body.bytes);
    beast::error_code ec;
    auto token = asio::redirect_error(asio::use_awaitable, ec);
    stream_.expires_after(first_ ? config_.header_timeout : config_.idle_timeout);
    co_await http::async_read_header(stream_, buffer_, parser, token);
    if (ec) {
      const bool silent = !parser.got_some();
      if (silent || ec == http::error::end_of_stream || ec == asio::error::operation_aborted ||
          ec == asio::error::connection_reset) {
        co_return Answer(std::optional<HttpRequest>());
      }
      co_return Answer(read_error(ec, config_));
    }
    first_ = false;
    if (text(parser.get()[http::field::expect]) == "100-continue") {
      std::string go("HTTP/1.1 100 Continue\r\n\r\n");
      if (!co_await write(std::move(go))) {
        co_return Answer(std::optional<HttpRequest>());
      }
    }
    stream_.expires_after(config_.header_timeout);
    co_await http::async_read(stream_, buffer_, parser, token);
    if (ec) {
      co_return Answer(read_error(ec, config_));
    }
    stream_.expires_never();
    http::request<http::string_body> message = parser.release();
    std::optional<HttpRequest> request(to_request(message));
    co_return Answer(std::move(request));
  }

  Task<bool> write(std::string bytes) override {
    beast::error_code ec;
    auto token = asio::redirect_error(asio::use_awaitable, ec);
    std::size_t sent = 0;
    while (sent < bytes.size() && !ec) {
      stream_.expires_after(config_.write_timeout);
      sent += co_await stream_.async_write_some(
          asio::buffer(bytes.data() + sent, bytes.size() - sent), token);
    }
    stream_.expires_never();
    co_return !ec;
  }

  bool peer_gone() override {
    char byte = 0;
    const ssize_t got = ::recv(stream_.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
  }

  void close() override {
    beast::error_code ignored;
    stream_.socket().shutdown(Socket::shutdown_both, ignored);
    stream_.socket().close(ignored);
  }

 private:
  beast::basic_stream<Protocol, asio::any_io_executor> stream_;
  const HttpConfig config_;
  beast::flat_buffer buffer_;
  bool first_ = true;
};

}  // namespace

std::unique_ptr<HttpConnection> make_connection(asio::local::stream_protocol::socket socket,
                                                const HttpConfig& config) {
  return std::make_unique<Connection<asio::local::stream_protocol>>(std::move(socket), config);
}

std::unique_ptr<HttpConnection> make_connection(asio::ip::tcp::socket socket,
                                                const HttpConfig& config) {
  return std::make_unique<Connection<asio::ip::tcp>>(std::move(socket), config);
}

}  // namespace skerry::agent
