#pragma once

// How this gateway knows its controller after enrolment: by the authorities it was given, judged at
// the time that somebody vouches for. gRPC's own check asks the system clock, and a gateway whose
// clock fell back would never connect again to have it corrected (ADR 0076).

#include <memory>
#include <mutex>
#include <string>

#include <grpcpp/security/tls_certificate_verifier.h>

#include "skerry/agent/device_time.hpp"
#include "skerry/security/trust_anchors.hpp"

namespace skerry::agent::sync {

// Shared by the connections and whoever changes the anchors. Thread-safe.
class ServerTrust {
 public:
  // `time` must live until `close`.
  ServerTrust(security::TrustAnchors anchors, std::string trust_domain, const DeviceTime& time)
      : anchors_(std::move(anchors)), trust_domain_(std::move(trust_domain)), time_(&time) {}

  // kCertificateInvalid unless the chain (PEM, leaf first) leads to an anchor and the leaf is a
  // controller of this trust domain. The host name is gRPC's to check.
  [[nodiscard]] Result<void> verify(std::string_view chain_pem) const;

  [[nodiscard]] security::TrustAnchors anchors() const;
  void replace(security::TrustAnchors anchors);
  // From here on no server is accepted: the clock is going away.
  void close();

 private:
  mutable std::mutex mutex_;
  security::TrustAnchors anchors_;
  std::string trust_domain_;
  const DeviceTime* time_;
};

std::shared_ptr<grpc::experimental::CertificateVerifier> make_server_verifier(
    std::shared_ptr<const ServerTrust> trust);

}  // namespace skerry::agent::sync
