#pragma once

// Blobs by HTTPS range requests (RFC 9110 §14): a web server, a CDN or an object store that has the
// layout of a store's blobs/ folder (`<base>/sha256/ab/<hex>`), and peer gateways, which serve the
// same over mTLS. TLS is always verified, redirects are not followed, a server that does not answer
// with exactly the range asked for is refused.

#include <memory>
#include <string>
#include <string_view>

#include "skerry/registry/blob_source.hpp"

namespace skerry::agent {

struct HttpsSourceOptions {
  // For logs and reports.
  std::string name;
  // "https://host[:port][/path]", without a slash at the end.
  std::string base_url;
  registry::SourceReach reach = registry::SourceReach::kLink;
  // The certificates to trust, PEM; empty: those of the system.
  std::string ca_pem;
  // Who this gateway is, PEM; empty: no client certificate.
  std::string certificate_pem;
  std::string key_pem;
  // The value of the Authorization header; empty: none.
  std::string authorization;
  // Not empty: the server is a gateway of this trust domain. It is known by its device certificate,
  // which carries no host name.
  std::string device_domain;
};

class HttpsSource final : public registry::BlobSource {
 public:
  explicit HttpsSource(HttpsSourceOptions options);
  ~HttpsSource() override;

  [[nodiscard]] std::string name() const override { return options_.name; }
  [[nodiscard]] registry::SourceReach reach() const override { return options_.reach; }
  // kNotFound (404, 410), kUnauthenticated (401, 403), kCertificateInvalid (TLS), kParse (another
  // range), kUnavailable. A server that sends nothing for 30 s is given up.
  Result<void> read(const registry::BlobRange& range,
                    registry::ByteSink& sink,
                    const registry::CancelFlag& cancel) override;

 private:
  struct Connection;
  HttpsSourceOptions options_;
  // Kept from one range to the next: a handshake costs more than a chunk.
  std::unique_ptr<Connection> connection_;
};

}  // namespace skerry::agent
