#include "skerry/agent/http_text.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>

namespace skerry::agent {
namespace {

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Internal Server Error";
  }
}

std::string head(int status,
                 std::string_view content_type,
                 const HttpHeaders& headers,
                 bool keep_alive) {
  std::string text = "HTTP/1.1 " + std::to_string(status) + " " + std::string{reason_of(status)};
  text += "\r\ncontent-type: ";
  text += content_type;
  text += "\r\nx-content-type-options: nosniff\r\n";
  if (!keep_alive) {
    text += "connection: close\r\n";
  }
  for (const auto& [name, value] : headers) {
    text.append(name).append(": ").append(value).append("\r\n");
  }
  return text;
}

std::string lower(std::string_view text) {
  std::string out{text};
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return out;
}

// Cuts ":port" off; an IPv6 address keeps its brackets.
std::string_view without_port(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  const std::size_t bracket = host.rfind(']');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket)) {
    return host;
  }
  return host.substr(0, colon);
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  const char folded = static_cast<char>(c | 0x20);
  return folded >= 'a' && folded <= 'f' ? folded - 'a' + 10 : -1;
}

}  // namespace

std::string http_response(int status,
                          std::string_view content_type,
                          const HttpHeaders& headers,
                          std::string_view body,
                          bool keep_alive) {
  std::string text = head(status, content_type, headers, keep_alive);
  text += "content-length: " + std::to_string(body.size()) + "\r\n\r\n";
  text += body;
  return text;
}

std::string http_stream_head(int status,
                             std::string_view content_type,
                             const HttpHeaders& headers,
                             bool keep_alive) {
  return head(status, content_type, headers, keep_alive) +
         "cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";
}

std::string http_chunk(std::string_view data) {
  if (data.empty()) {
    return {};
  }
  std::array<char, 20> size{};
  std::snprintf(size.data(), size.size(), "%zx\r\n", data.size());
  std::string text{size.data()};
  text += data;
  text += "\r\n";
  return text;
}

std::string_view http_last_chunk() noexcept {
  return "0\r\n\r\n";
}

Result<std::string> percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) {
        return Error{Error::Code::kParse, "a broken percent escape in the path"};
      }
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return Error{Error::Code::kParse, "a control character in the path"};
    }
    out += c;
  }
  return out;
}

bool host_allowed(std::string_view host, const std::vector<std::string>& allowed) {
  const std::string name = lower(without_port(host));
  if (name == "localhost" || name == "127.0.0.1" || name == "[::1]") {
    return true;
  }
  return std::any_of(allowed.begin(), allowed.end(), [&name](const std::string& entry) {
    return lower(entry) == name;
  });
}

bool origin_allowed(std::string_view origin, const std::vector<std::string>& allowed) {
  if (origin.empty()) {
    return true;
  }
  const std::size_t scheme = origin.find("://");
  if (scheme == std::string_view::npos) {
    return false;
  }
  return host_allowed(origin.substr(scheme + 3), allowed);
}

}  // namespace skerry::agent
