#include "http_get.hpp"

#include <chrono>
#include <exception>
#include <optional>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/url/parse.hpp>

namespace skerry::conformance {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

constexpr std::chrono::seconds kDeadline{60};

struct Location {
  std::string host;
  std::string port;
  std::string authority;
  std::string target;
};

Result<Location> parse_location(const std::string& text) {
  const auto url = boost::urls::parse_uri(text);
  if (!url || url->scheme() != "http" || url->encoded_host().empty()) {
    return Error{Error::Code::kInvalidArgument,
                 "'" + text + "' is not a URL of the form http://host[:port]/path"};
  }
  Location out;
  out.host = url->host_address();
  out.port = url->has_port() ? std::string{url->port()} : "80";
  out.authority = std::string{url->encoded_host_and_port()};
  out.target = std::string{url->encoded_target()};
  if (out.target.empty() || out.target.front() != '/') {
    out.target.insert(0, 1, '/');
  }
  return out;
}

Error transport_error(const beast::error_code& ec, std::string_view what) {
  Error::Code code = Error::Code::kUnavailable;
  if (ec == beast::error::timeout) {
    code = Error::Code::kDeadlineExceeded;
  } else if (ec == http::error::body_limit) {
    code = Error::Code::kTooLarge;
  }
  return Error{code, std::string{what} + ": " + ec.message()};
}

asio::awaitable<void> exchange(const Location& location,
                               std::size_t limit,
                               std::optional<Result<std::string>>& out) {
  const auto executor = co_await asio::this_coro::executor;
  beast::error_code ec;
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  asio::ip::tcp::resolver resolver(executor);
  const auto endpoints = co_await resolver.async_resolve(location.host, location.port, token);
  if (ec) {
    out = transport_error(ec, "resolving " + location.host);
    co_return;
  }
  beast::tcp_stream stream(executor);
  // One deadline for all: a server that sends a byte a second does not hold the client.
  stream.expires_after(kDeadline);
  co_await stream.async_connect(endpoints, token);
  if (ec) {
    out = transport_error(ec, "connecting to " + location.authority);
    co_return;
  }
  http::request<http::empty_body> request(http::verb::get, location.target, 11);
  request.set(http::field::host, location.authority);
  request.set(http::field::user_agent, "skerry-tuf-client");
  request.set(http::field::connection, "close");
  co_await http::async_write(stream, request, token);
  if (ec) {
    out = transport_error(ec, "asking for " + location.target);
    co_return;
  }
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(limit);
  co_await http::async_read(stream, buffer, parser, token);
  const http::status status =
      parser.is_header_done() ? parser.get().result() : http::status::unknown;
  // What an error page holds, and how long it is, does not matter.
  if (status == http::status::not_found || status == http::status::forbidden) {
    out = Error{Error::Code::kNotFound, location.target + " is not there"};
  } else if (status != http::status::unknown && status != http::status::ok) {
    out = Error{
        Error::Code::kUnavailable,
        location.target + ": the server answered " + std::to_string(parser.get().result_int())};
  } else if (ec) {
    out = transport_error(ec, "reading " + location.target);
  } else {
    out = std::move(parser.get().body());
  }
}

}  // namespace

Result<std::string> http_get(const std::string& url, std::size_t limit) {
  const auto location = parse_location(url);
  if (!location) {
    return location.error();
  }
  std::optional<Result<std::string>> out;
  std::exception_ptr failure;
  asio::io_context context{1};
  asio::co_spawn(context, exchange(*location, limit, out), [&](std::exception_ptr thrown) {
    failure = thrown;
  });
  context.run();
  if (failure || !out) {
    return Error{Error::Code::kInternal, "the request for " + url + " did not end"};
  }
  return std::move(*out);
}

std::string encode_url_path(std::string_view path) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  constexpr std::string_view kPlain = "-._~!$&'()*+,;=:@/";
  std::string out;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
        kPlain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4U];
      out += kHex[byte & 0x0fU];
    }
  }
  return out;
}

std::string join_url(std::string_view base, std::string_view rest) {
  std::string out{base};
  if (!out.ends_with('/')) {
    out += '/';
  }
  out += rest;
  return out;
}

Result<std::string> HttpFetcher::fetch(std::string_view name, std::size_t limit) {
  return http_get(join_url(base_, name), limit);
}

}  // namespace skerry::conformance
