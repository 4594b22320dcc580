#pragma once

// One plain HTTP/1.1 GET with a size limit and one deadline for all of it, and a TUF `Fetcher` over
// it. Used by the conformance client alone: gateways fetch metadata over the controller's channel.

#include <string>
#include <string_view>

#include "skerry/security/tuf/client.hpp"

namespace skerry::conformance {

// The body of a 200 answer. kTooLarge as soon as there are more than `limit` bytes, kNotFound for
// 403 and 404 (stores that hide their listing answer 403 for what is not there), kUnavailable for
// other answers and a broken connection, kDeadlineExceeded, kInvalidArgument for a URL that is not
// http://host[:port]/path. Redirects are not followed. Blocks for at most 60 seconds.
Result<std::string> http_get(const std::string& url, std::size_t limit);

// `path` as it stands in a URL: '/' and what RFC 3986 allows in a segment stay.
std::string encode_url_path(std::string_view path);

// "http://host/dir" and "http://host/dir/" are the same base.
std::string join_url(std::string_view base, std::string_view rest);

class HttpFetcher final : public security::tuf::Fetcher {
 public:
  explicit HttpFetcher(std::string base) : base_(std::move(base)) {}
  Result<std::string> fetch(std::string_view name, std::size_t limit) override;

 private:
  const std::string base_;
};

}  // namespace skerry::conformance
