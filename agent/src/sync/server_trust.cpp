#include "server_trust.hpp"

#include <utility>

namespace skerry::agent::sync {
namespace {

class ServerVerifier final : public grpc::experimental::ExternalCertificateVerifier {
 public:
  explicit ServerVerifier(std::shared_ptr<const ServerTrust> trust) : trust_(std::move(trust)) {}

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)>,
              grpc::Status* sync_status) override {
    const auto full = request->peer_cert_full_chain();
    const auto leaf = request->peer_cert();
    const auto& chain = full.empty() ? leaf : full;
    const Result<void> verified = trust_->verify({chain.data(), chain.size()});
    *sync_status =
        verified ? grpc::Status::OK
                 : grpc::Status(grpc::StatusCode::UNAUTHENTICATED, verified.error().message());
    return true;
  }
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest*) override {}

 private:
  std::shared_ptr<const ServerTrust> trust_;
};

}  // namespace

Result<void> ServerTrust::verify(std::string_view chain_pem) const {
  const Result<std::vector<security::Certificate>> chain =
      security::certificates_from_pem(chain_pem);
  if (!chain) {
    return chain.error().with_context("the controller's certificate");
  }
  const std::lock_guard lock{mutex_};
  if (time_ == nullptr) {
    return Error{Error::Code::kCancelled, "the daemon is stopping"};
  }
  if (Result<void> verified = anchors_.verify(*chain, time_->now()); !verified) {
    return verified.error().with_context("the controller");
  }
  const Result<security::SpiffeId> identity = chain->front().identity();
  if (!identity) {
    return identity.error().with_context("the controller");
  }
  // Devices have certificates of the same authority: one of them is no controller.
  if (identity->kind != security::SpiffeId::Kind::kController ||
      identity->trust_domain != trust_domain_) {
    return Error{Error::Code::kCertificateInvalid,
                 "the server says that it is " + identity->to_string() +
                     ", which is no controller of " + trust_domain_};
  }
  return {};
}

security::TrustAnchors ServerTrust::anchors() const {
  const std::lock_guard lock{mutex_};
  return anchors_;
}

void ServerTrust::replace(security::TrustAnchors anchors) {
  const std::lock_guard lock{mutex_};
  anchors_ = std::move(anchors);
}

void ServerTrust::close() {
  const std::lock_guard lock{mutex_};
  time_ = nullptr;
}

std::shared_ptr<grpc::experimental::CertificateVerifier> make_server_verifier(
    std::shared_ptr<const ServerTrust> trust) {
  return grpc::experimental::ExternalCertificateVerifier::Create<ServerVerifier>(std::move(trust));
}

}  // namespace skerry::agent::sync
