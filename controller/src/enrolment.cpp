#include "skerry/controller/enrolment.hpp"

#include <algorithm>
#include <utility>

#include "skerry/common/bytes.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/id.hpp"

namespace skerry::controller {
namespace {

constexpr std::size_t kIdBytes = 8;
constexpr std::size_t kSecretBytes = 32;
constexpr std::string_view kPrefix = "skt_";
constexpr std::size_t kTokenLength = kPrefix.size() + 2 * kIdBytes + 1 + 2 * kSecretBytes;
constexpr std::size_t kMaxRequest = 16U << 10U;
constexpr std::size_t kMaxInfo = 16U << 10U;
constexpr std::size_t kMaxNote = 256;

std::int64_t to_ms(WallTime time) {
  return time.time_since_epoch().count();
}

Error refused(std::string message) {
  return Error{Error::Code::kEnrolmentRefused, std::move(message)};
}

std::string hash_of(std::string_view secret) {
  return Digest::of(secret).hex();
}

Error no_such_device(const std::string& device_id) {
  return Error{Error::Code::kNotEnrolled,
               device_id + " is not enrolled at this controller: enrol it again"};
}

CertificateRecord device_certificate(const std::string& device_id,
                                     const std::string& tenant_id,
                                     const security::Certificate& certificate,
                                     WallTime now) {
  CertificateRecord record;
  record.fingerprint = certificate.fingerprint().hex();
  record.serial = certificate.serial_hex();
  record.kind = "device";
  record.subject = device_id;
  record.tenant_id = tenant_id;
  record.issued_ms = to_ms(now);
  record.not_after_ms = to_ms(certificate.not_after());
  return record;
}

}  // namespace

Enrolment::Enrolment(Store& store,
                     const Authorities& authorities,
                     const Clock& clock,
                     Random& random,
                     IdentityConfig identity,
                     EnrolmentConfig config)
    : store_(store),
      authorities_(authorities),
      clock_(clock),
      random_(random),
      identity_(std::move(identity)),
      config_(config) {}

std::string Enrolment::device_id_of(const security::PublicKey& key) {
  return "dev-" + key.spki_digest().hex().substr(0, 20);
}

Result<IssuedToken> Enrolment::create_token(const TokenRequest& request) {
  std::chrono::milliseconds ttl = config_.token_ttl;
  if (request.ttl.count() != 0) {
    if (request.ttl.count() < 0 || request.ttl > config_.token_ttl_max) {
      return Error{
          Error::Code::kInvalidArgument,
          "a token may live at most " +
              std::to_string(
                  std::chrono::duration_cast<std::chrono::seconds>(config_.token_ttl_max).count()) +
              " seconds (enrolment.token_ttl_max)"};
    }
    ttl = request.ttl;
  }
  if (request.note.size() > kMaxNote || !is_utf8(request.note)) {
    return Error{Error::Code::kInvalidArgument, "the note must be UTF-8 of at most 256 bytes"};
  }
  TokenRecord record;
  record.site_id = request.site_id.empty() ? identity_.site : request.site_id;
  if (auto named = check_name(record.site_id, "site_id"); !named) {
    return named.error();
  }
  record.token_id = random_.hex(kIdBytes);
  const std::string secret = random_.hex(kSecretBytes);
  record.secret_hash = hash_of(secret);
  record.tenant_id = request.tenant_id;
  record.note = request.note;
  record.created_by = request.created_by;
  record.created_ms = to_ms(clock_.wall_now());
  record.expires_ms = record.created_ms + ttl.count();
  if (auto added = store_.add_token(record); !added) {
    return added.error();
  }
  return IssuedToken{std::string{kPrefix} + record.token_id + "_" + secret, record.expires_ms};
}

Result<TokenRecord> Enrolment::check_token(std::string_view token) {
  const Error unknown =
      refused("this enrolment token is not valid: ask the operator for a new one");
  if (token.size() != kTokenLength || !token.starts_with(kPrefix) ||
      token[kPrefix.size() + 2 * kIdBytes] != '_') {
    return unknown;
  }
  const std::string id{token.substr(kPrefix.size(), 2 * kIdBytes)};
  const std::string_view secret = token.substr(kPrefix.size() + 2 * kIdBytes + 1);
  const auto found = store_.find_token(id);
  if (!found) {
    return found.error();
  }
  // The hash is compared in constant time, and with something when there is no such token.
  const std::string expected = *found ? (**found).secret_hash : std::string(64, '0');
  if (!equal_constant_time(as_bytes(hash_of(secret)), as_bytes(expected)) || !*found) {
    return unknown;
  }
  const TokenRecord& record = **found;
  if (record.used_ms != 0) {
    return refused("this enrolment token was already used (by " + record.used_by +
                   "): ask the operator for a new one");
  }
  const std::int64_t now = to_ms(clock_.wall_now());
  if (now >= record.expires_ms) {
    return refused("this enrolment token expired " +
                   std::to_string((now - record.expires_ms) / 1000) +
                   " s ago: ask the operator for a new one");
  }
  return record;
}

Result<EnrolledDevice> Enrolment::enroll(std::string_view token,
                                         std::string_view csr_der,
                                         const std::string& info) {
  const auto granted = check_token(token);
  if (!granted) {
    return granted.error();
  }
  if (csr_der.size() > kMaxRequest || info.size() > kMaxInfo) {
    return Error{Error::Code::kTooLarge,
                 "an enrolment request has at most 16 KiB of certificate request and 16 KiB of "
                 "device description"};
  }
  const auto request = security::CertificateRequest::from_der(as_bytes(csr_der));
  if (!request) {
    return request.error().with_context("the certificate request");
  }
  const WallTime now = clock_.wall_now();
  const auto id = id_for(request->public_key());
  if (!id) {
    return id.error();
  }
  const auto known = store_.find_device(*id);
  if (!known) {
    return known.error();
  }
  if (*known && (**known).revoked) {
    return refused(*id + " was revoked: an operator must reinstate it (skerry fleet reinstate " +
                   *id + "), or the device must make a new key");
  }
  EnrolledDevice out;
  out.device_id = *id;
  out.tenant_id = granted->tenant_id;
  out.site_id = granted->site_id;
  const auto certificate = certify(out.device_id, request->public_key(), now);
  if (!certificate) {
    return certificate.error();
  }
  out.certificate_chain_pem = certificate->pem();
  out.trust_bundle_pem = authorities_.bundle_pem();

  DeviceRecord device;
  device.device_id = out.device_id;
  device.tenant_id = out.tenant_id;
  device.site_id = out.site_id;
  device.note = granted->note;
  device.info = info;
  device.enrolled_ms = to_ms(now);
  device.certificate_expires_ms = to_ms(certificate->not_after());
  device.certificate_fingerprint = certificate->fingerprint().hex();
  const auto record = device_certificate(out.device_id, out.tenant_id, *certificate, now);
  if (auto enrolled = store_.enrol(granted->token_id, device, record); !enrolled) {
    return enrolled.error();
  }
  // A token is an operator's word that this device begins anew: older nonces and certificates of it
  // say nothing.
  const auto begun = store_.change_life(out.device_id, [&](DeviceLifeRecord& life) {
    life.key_spki = request->public_key().spki_digest().hex();
    life.confirmed_ms = 0;
    life.nonce_reset = true;
    return Result<void>{};
  });
  if (!begun) {
    return begun.error();
  }
  return out;
}

Result<std::string> Enrolment::id_for(const security::PublicKey& key) {
  auto known = store_.device_with_key(key.spki_digest().hex());
  if (!known) {
    return known.error();
  }
  return *known ? **known : device_id_of(key);
}

Result<security::Certificate> Enrolment::certify(const std::string& device_id,
                                                 const security::PublicKey& key,
                                                 WallTime now) const {
  // What the request asks for is ignored: the controller decides who the device is.
  security::CertificateGrant grant;
  grant.names.common_name = device_id;
  grant.names.spiffe_id =
      security::SpiffeId{identity_.trust_domain, security::SpiffeId::Kind::kDevice, device_id}
          .to_string();
  grant.not_before = now;
  grant.lifetime = std::chrono::duration_cast<std::chrono::seconds>(identity_.device_certificate);
  auto certificate = authorities_.issue(key, grant);
  if (!certificate) {
    return certificate.error().with_context("issuing the certificate of " + device_id);
  }
  return certificate;
}

Result<EnrolledDevice> Enrolment::renew(const std::string& device_id,
                                        WallTime issued,
                                        std::string_view csr_der) {
  const auto found = store_.find_device(device_id);
  if (!found) {
    return found.error();
  }
  if (!*found) {
    return no_such_device(device_id);
  }
  const DeviceRecord& device = **found;
  if (device.revoked) {
    return Error{Error::Code::kPermissionDenied,
                 device_id + " was revoked by an operator: its certificate is not renewed"};
  }
  const auto life = store_.life(device_id);
  if (!life) {
    return life.error();
  }
  if (to_ms(issued) < life->confirmed_ms) {
    return Error{Error::Code::kPermissionDenied,
                 "a newer certificate of " + device_id +
                     " was already in use: this one is an old copy and is not renewed"};
  }
  if (csr_der.size() > kMaxRequest) {
    return Error{Error::Code::kTooLarge, "a certificate request has at most 16 KiB"};
  }
  const auto request = security::CertificateRequest::from_der(as_bytes(csr_der));
  if (!request) {
    return request.error().with_context("the certificate request");
  }
  const auto holder = store_.device_with_key(request->public_key().spki_digest().hex());
  if (!holder) {
    return holder.error();
  }
  if (*holder && **holder != device_id) {
    return Error{Error::Code::kPermissionDenied, "the key of this request is another device's"};
  }
  const WallTime now = clock_.wall_now();
  const auto certificate = certify(device_id, request->public_key(), now);
  if (!certificate) {
    return certificate.error();
  }
  const auto record = device_certificate(device_id, device.tenant_id, *certificate, now);
  if (auto renewed = store_.renew(device_id,
                                  request->public_key().spki_digest().hex(),
                                  to_ms(certificate->not_before()),
                                  record);
      !renewed) {
    return renewed.error();
  }
  EnrolledDevice out;
  out.device_id = device_id;
  out.tenant_id = device.tenant_id;
  out.site_id = device.site_id;
  out.certificate_chain_pem = certificate->pem();
  out.trust_bundle_pem = authorities_.bundle_pem();
  out.cross_pem = authorities_.cross_pem();
  return out;
}

}  // namespace skerry::controller
