#include "renewal.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "skerry/async/offload.hpp"
#include "skerry/async/unary_call.hpp"
#include "skerry/fleet/v1/device.grpc.pb.h"

#include "../grpc/status.hpp"

namespace skerry::agent::sync {
namespace {

constexpr std::chrono::seconds kRenewalDeadline{30};
constexpr std::string_view kKeyPrefix = "device";
constexpr std::string_view kKeySuffix = ".pem";

// The number in a device key's file name; none for other files.
std::optional<std::uint32_t> key_number(std::string_view file) {
  if (!file.starts_with(kKeyPrefix) || !file.ends_with(kKeySuffix)) {
    return std::nullopt;
  }
  file.remove_prefix(kKeyPrefix.size());
  file.remove_suffix(kKeySuffix.size());
  if (file.empty()) {
    return 1;
  }
  std::uint32_t number = 0;
  const auto [end, ec] = std::from_chars(file.data() + 1, file.data() + file.size(), number);
  if (file.front() != '-' || ec != std::errc{} || end != file.data() + file.size() || number < 2) {
    return std::nullopt;
  }
  return number;
}

struct NextKey {
  std::string file;
  Digest spki;
  std::string csr_der;
};

Result<NextKey> prepare_key(FileSystem& fs,
                            const std::filesystem::path& keys,
                            const std::string& file,
                            const std::string& device_id) {
  Result<security::KeyUri> uri = security::KeyUri::parse("file:" + (keys / file).string());
  if (!uri) {
    return uri.error();
  }
  Result<std::unique_ptr<security::Signer>> key =
      security::open_or_create_key(fs, *uri, security::KeyAlgorithm::kEcdsaP256);
  if (!key) {
    return key.error().with_context("the next device key");
  }
  security::CertificateNames names;
  names.common_name = device_id;
  Result<Bytes> der = security::make_certificate_request_der(**key, names);
  if (!der) {
    return der.error().with_context("certificate request");
  }
  return NextKey{file, (*key)->public_key().spki_digest(), std::string{as_text(*der)}};
}

}  // namespace

WallTime renewal_time(const security::Certificate& certificate) {
  const auto life = certificate.not_after() - certificate.not_before();
  const Digest fingerprint = certificate.fingerprint();
  const ByteView bytes = fingerprint.bytes();
  const std::int64_t drawn = (bytes[0] << 8) + bytes[1];
  return certificate.not_before() + life / 2 + life / 10 * drawn / 65'536;
}

std::chrono::milliseconds until_renewal(const security::Certificate& certificate, WallTime now) {
  return std::max(renewal_time(certificate) - now, std::chrono::milliseconds{0});
}

std::string next_key_file(std::string_view key_file) {
  return std::string{kKeyPrefix} + "-" + std::to_string(key_number(key_file).value_or(1) + 1) +
         std::string{kKeySuffix};
}

Result<DeviceIdentity> renewed_identity(const DeviceIdentity& present,
                                        const Digest& key,
                                        const fleet::v1::RenewResponse& answer) {
  const Result<security::Certificate> leaf =
      security::Certificate::from_pem(answer.certificate_chain_pem());
  if (!leaf) {
    return leaf.error().with_context("the controller's answer");
  }
  if (leaf->spki_digest() != key) {
    return Error{Error::Code::kCertificateInvalid,
                 "the controller's answer: the certificate is for another key"};
  }
  const Result<security::SpiffeId> name = leaf->identity();
  const Result<security::Certificate> held =
      security::Certificate::from_pem(present.certificate_chain_pem);
  const Result<security::SpiffeId> before = held ? held->identity() : held.error();
  if (!name || !before) {
    return (name ? before.error() : name.error()).with_context("the controller's answer");
  }
  if (!(*name == *before)) {
    return Error{Error::Code::kCertificateInvalid,
                 "the controller's answer: the certificate is for " + name->to_string() +
                     ", not for " + before->to_string()};
  }
  const Result<security::TrustAnchors> anchors =
      security::TrustAnchors::from_pem(present.trust_bundle_pem);
  if (!anchors) {
    return anchors.error();
  }
  const Result<security::TrustAnchors> next =
      anchors->succeeded_by(answer.trust().anchors_pem(), answer.trust().cross_certificates_pem());
  if (!next) {
    return next.error().with_context("the controller's answer");
  }
  // Time is not asked: what was just issued is good, whatever this clock says.
  const security::TrustedTime no_time;
  if (Result<void> issued = next->verify({*leaf}, no_time); !issued) {
    return issued.error().with_context("the controller's answer");
  }
  DeviceIdentity identity = present;
  identity.certificate_chain_pem = answer.certificate_chain_pem();
  identity.trust_bundle_pem = next->pem();
  return identity;
}

Task<Result<DeviceIdentity>> renew(Core& core,
                                   std::shared_ptr<grpc::Channel> channel,
                                   DeviceIdentity present) {
  const std::shared_ptr<const Settings> settings = core.settings;
  const std::filesystem::path root = settings->state_dir();
  const std::string file = settings->controller().renewal_key == "same"
                               ? present.key_file
                               : next_key_file(present.key_file);
  auto prepare = [&core, root, file, id = present.device_id] {
    return prepare_key(core.fs, root / "keys", file, id);
  };
  Result<NextKey> key = co_await async::offload(core.disk, std::move(prepare));
  if (!key) {
    co_return key.error();
  }
  const std::unique_ptr<fleet::v1::DeviceService::Stub> stub =
      fleet::v1::DeviceService::NewStub(channel);
  fleet::v1::RenewRequest request;
  request.set_csr_der(key->csr_der);
  auto start = [&stub](auto* context, auto* in, auto* out, auto done) {
    stub->async()->Renew(context, in, out, std::move(done));
  };
  auto answer = co_await async::unary_call<fleet::v1::RenewRequest, fleet::v1::RenewResponse>(
      std::move(start), std::move(request), kRenewalDeadline);
  if (!answer.status.ok()) {
    co_return from_status(answer.status).with_context("renewing the certificate");
  }
  Result<DeviceIdentity> identity = renewed_identity(present, key->spki, answer.response);
  if (!identity) {
    co_return identity.error();
  }
  identity->key_file = key->file;
  auto store = [&core, root, identity = *identity, spki = key->spki] {
    return store_identity(core.fs, root / "identity.json", identity, spki);
  };
  Result<DeviceIdentity> stored = co_await async::offload(core.disk, std::move(store));
  co_return stored;
}

Result<void> forget_former_keys(FileSystem& fs,
                                const std::filesystem::path& keys,
                                const std::string& key_file) {
  Result<std::vector<std::string>> names = fs.list(keys);
  if (!names) {
    return names.error();
  }
  bool removed = false;
  const std::uint32_t present = key_number(key_file).value_or(1);
  for (const std::string& name : *names) {
    const std::optional<std::uint32_t> number = key_number(name);
    if (!number || *number >= present) {
      continue;
    }
    if (Result<void> gone = fs.remove(keys / name); !gone) {
      return gone;
    }
    removed = true;
  }
  return removed ? fs.sync_directory(keys) : Result<void>{};
}

}  // namespace skerry::agent::sync
