#include "enrolment.hpp"

#include <utility>

#include "skerry/async/offload.hpp"
#include "skerry/async/unary_call.hpp"
#include "skerry/common/bytes.hpp"
#include "skerry/security/certificate.hpp"

#include "../grpc/status.hpp"
#include "controller_channel.hpp"

namespace skerry::agent::sync {
namespace {

constexpr std::chrono::seconds kDeadline{30};
constexpr std::size_t kMaxToken = 4096;
constexpr std::size_t kMaxCa = 256U << 10U;

struct Prepared {
  std::string token;
  std::string ca_pem;
  std::string csr_der;
};

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.pop_back();
  }
  return text;
}

Result<Prepared> prepare(FileSystem& fs,
                         const ControllerConfig& controller,
                         const std::string& name,
                         const security::Signer& key) {
  if (controller.token_file.empty()) {
    return Error{Error::Code::kNotEnrolled,
                 "this gateway has no certificate and controller.token_file is not set"};
  }
  if (controller.ca_file.empty() && controller.spki_pin.empty()) {
    return Error{Error::Code::kNotEnrolled,
                 "enrolment needs controller.ca_file or controller.spki_pin, to know the "
                 "controller by"};
  }
  Prepared prepared;
  Result<std::string> token = read_file(fs, controller.token_file, kMaxToken);
  if (!token) {
    return token.error().with_context("controller.token_file");
  }
  prepared.token = trimmed(*std::move(token));
  if (!controller.ca_file.empty()) {
    Result<std::string> ca = read_file(fs, controller.ca_file, kMaxCa);
    if (!ca) {
      return ca.error().with_context("controller.ca_file");
    }
    prepared.ca_pem = *std::move(ca);
  }
  security::CertificateNames names;
  names.common_name = name;
  Result<Bytes> csr = security::make_certificate_request_der(key, names);
  if (!csr) {
    return csr.error().with_context("certificate request");
  }
  prepared.csr_der = std::string{as_text(*csr)};
  return prepared;
}

// A refused token will not become valid; a lost connection may.
Error enrolment_error(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::ALREADY_EXISTS:
    case grpc::StatusCode::NOT_FOUND:
      return Error{Error::Code::kEnrolmentRefused,
                   "the controller refused: " + status.error_message()};
    default:
      return from_status(status);
  }
}

}  // namespace

Task<Result<DeviceIdentity>> enrol(Core& core,
                                   std::shared_ptr<const security::Signer> key,
                                   fleet::v1::DeviceInfo info,
                                   std::function<Result<void>(const std::string&)> pin) {
  const std::shared_ptr<const Settings> settings = core.settings;
  auto work = [&core, settings, key] {
    return prepare(core.fs, settings->controller(), settings->device().name, *key);
  };
  Result<Prepared> prepared = co_await async::offload(core.disk, std::move(work));
  if (!prepared) {
    co_return prepared.error();
  }
  Result<std::shared_ptr<grpc::Channel>> channel =
      make_enrolment_channel(settings->controller(), prepared->ca_pem);
  if (!channel) {
    co_return channel.error();
  }
  const std::unique_ptr<fleet::v1::EnrolmentService::Stub> stub =
      fleet::v1::EnrolmentService::NewStub(*channel);
  fleet::v1::EnrollRequest request;
  request.set_token(prepared->token);
  request.set_csr_der(prepared->csr_der);
  *request.mutable_info() = std::move(info);
  auto start = [&stub](auto* context, auto* in, auto* out, auto done) {
    stub->async()->Enroll(context, in, out, std::move(done));
  };
  auto answer = co_await async::unary_call<fleet::v1::EnrollRequest, fleet::v1::EnrollResponse>(
      std::move(start), std::move(request), kDeadline);
  if (!answer.status.ok()) {
    co_return enrolment_error(answer.status);
  }
  DeviceIdentity identity;
  identity.device_id = answer.response.device_id();
  identity.tenant_id = answer.response.tenant_id();
  identity.site_id = answer.response.site_id();
  identity.certificate_chain_pem = answer.response.certificate_chain_pem();
  identity.trust_bundle_pem = answer.response.trust_bundle_pem();
  auto store = [&core,
                identity,
                spki = key->public_key().spki_digest(),
                pin,
                root = answer.response.director_root()]() -> Result<DeviceIdentity> {
    // First, so that no enrolled gateway is without it.
    if (!root.empty()) {
      if (Result<void> pinned = pin(root); !pinned) {
        return pinned.error().with_context("the director root that came with the enrolment");
      }
    }
    return store_identity(core.fs, core.settings->state_dir() / "identity.json", identity, spki);
  };
  Result<DeviceIdentity> stored = co_await async::offload(core.disk, std::move(store));
  co_return stored;
}

}  // namespace skerry::agent::sync
