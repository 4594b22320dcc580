#include <algorithm>
#include <charconv>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "skerry/agent/upstream_http.hpp"

namespace skerry::agent::upstream {
namespace {

namespace asio = boost::asio;
namespace bhttp = boost::beast::http;

constexpr std::uint32_t kMostHeader = 16U << 10U;
// Of a header or of a chunk's head that has no end yet.
constexpr std::size_t kMostUnparsed = std::size_t{2} * kMostHeader;
constexpr std::uint32_t kLongestRetry = 3600;
constexpr std::size_t kMostUrl = 2048;

bool visible(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7f;
  });
}

Error bad_url(std::string_view text, std::string_view why) {
  return Error{Error::Code::kInvalidArgument, "\"" + std::string{text} + "\" " + std::string{why}};
}

}  // namespace

std::string Url::authority() const {
  const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return port == (tls ? "443" : "80") ? name : name + ":" + port;
}

Result<Url> parse_url(std::string_view text) {
  if (text.size() > kMostUrl || !visible(text)) {
    return bad_url(text.substr(0, 64), "is no URL");
  }
  Url url;
  std::string_view rest = text;
  if (rest.starts_with("https://")) {
    url.tls = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return bad_url(text, "must begin with https:// or http://");
  }
  if (rest.find_first_of("@?#") != std::string_view::npos) {
    return bad_url(text, "must be \"https://host[:port][/path]\": no user name, query or fragment");
  }
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view authority = rest.substr(0, slash);
  url.path = rest.substr(slash);
  while (url.path.ends_with('/')) {
    url.path.pop_back();
  }
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) {
      return bad_url(text, "has no end of its address");
    }
    url.host = authority.substr(1, end - 1);
    authority.remove_prefix(end + 1);
  } else {
    const std::size_t colon = std::min(authority.find(':'), authority.size());
    url.host = authority.substr(0, colon);
    authority.remove_prefix(colon);
  }
  url.port = url.tls ? "443" : "80";
  if (!authority.empty()) {
    std::uint16_t port = 0;
    const std::string_view digits = authority.substr(1);
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (authority.front() != ':' || ec != std::errc{} || end != digits.data() + digits.size() ||
        port == 0) {
      return bad_url(text, "has no valid port");
    }
    url.port = std::to_string(port);
  }
  if (url.host.empty()) {
    return bad_url(text, "names no host");
  }
  return url;
}

std::string write_request(const HttpAsk& ask) {
  std::string text = ask.method + " " + ask.target + " HTTP/1.1\r\nHost: " + ask.host +
                     "\r\nUser-Agent: skerry\r\nAccept: " + ask.accept +
                     "\r\nConnection: close\r\n";
  if (!ask.authorization.empty()) {
    text += "Authorization: " + ask.authorization + "\r\n";
  }
  if (ask.method == "POST") {
    text += "Content-Type: application/json\r\nContent-Length: " + std::to_string(ask.body.size()) +
            "\r\n";
  }
  return text + "\r\n" + ask.body;
}

struct ReplyReader::Impl {
  explicit Impl(std::uint64_t most) {
    parser.header_limit(kMostHeader);
    parser.body_limit(most);
    parser.eager(true);
  }
  bhttp::response_parser<bhttp::string_body> parser;
  // What the parser has not taken yet.
  std::string pending;
};

ReplyReader::ReplyReader(std::uint64_t most) : impl_(std::make_unique<Impl>(most)) {}
ReplyReader::~ReplyReader() = default;

Result<void> ReplyReader::feed(std::string_view bytes) {
  if (impl_->parser.is_done()) {
    return {};  // "Connection: close" was asked for; what follows belongs to nobody
  }
  impl_->pending += bytes;
  while (!impl_->pending.empty() && !impl_->parser.is_done()) {
    boost::beast::error_code ec;
    const std::size_t taken = impl_->parser.put(asio::buffer(impl_->pending), ec);
    impl_->pending.erase(0, taken);
    if (ec == bhttp::error::need_more) {
      if (impl_->pending.size() > kMostUnparsed) {
        return Error{Error::Code::kTooLarge, "the upstream's answer has a line without an end"};
      }
      return {};
    }
    if (ec == bhttp::error::body_limit || ec == bhttp::error::header_limit ||
        ec == bhttp::error::buffer_overflow) {
      return Error{Error::Code::kTooLarge, "the upstream's answer is too large: " + ec.message()};
    }
    if (ec) {
      return Error{Error::Code::kUnavailable, "no HTTP response: " + ec.message()};
    }
    if (taken == 0) {
      return {};
    }
  }
  return {};
}

Result<void> ReplyReader::finish() {
  if (impl_->parser.is_done()) {
    return {};
  }
  boost::beast::error_code ec;
  if (impl_->parser.got_some()) {
    impl_->parser.put_eof(ec);
  } else {
    ec = bhttp::error::end_of_stream;
  }
  if (ec) {
    return Error{Error::Code::kUnavailable, "the connection ended too soon: " + ec.message()};
  }
  return {};
}

bool ReplyReader::has_head() const {
  return impl_->parser.is_header_done();
}

bool ReplyReader::complete() const {
  return impl_->parser.is_done();
}

int ReplyReader::status() const {
  return static_cast<int>(impl_->parser.get().result_int());
}

std::string ReplyReader::content_type() const {
  const auto value = impl_->parser.get()[bhttp::field::content_type];
  std::string type{value.data(), value.size()};
  type.resize(std::min(type.find(';'), type.size()));
  while (type.ends_with(' ')) {
    type.pop_back();
  }
  std::transform(type.begin(), type.end(), type.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return type;
}

std::uint32_t ReplyReader::retry_after() const {
  const auto value = impl_->parser.get()[bhttp::field::retry_after];
  std::uint32_t seconds = 0;
  const auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  return ec == std::errc{} && end == value.data() + value.size() ? std::min(seconds, kLongestRetry)
                                                                 : 0;
}

std::string ReplyReader::take_body() {
  std::string body = std::move(impl_->parser.get().body());
  impl_->parser.get().body().clear();
  return body;
}

}  // namespace skerry::agent::upstream
