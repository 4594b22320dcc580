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

// The request parser takes PEM; the wire carries DER.
std::string pem_of(std::string_view der) {
  const std::string body = to_base64(as_bytes(der));
  std::string pem = "-----BEGIN CERTIFICATE REQUEST-----\n";
  for (std::size_t at = 0; at < body.size(); at += 64) {
    pem += body.substr(at, 64) + "\n";
  }
  return pem + "-----END CERTIFICATE REQUEST-----\n";
}

}  // namespace

Enrolment::Enrolment(Store& store,
                     const security::CertificateAuthority& authority,
                     const Clock& clock,
                     Random& random,
                     IdentityConfig identity,
                     EnrolmentConfig config)
    : store_(store),
      authority_(authority),
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
  const auto request = security::CertificateRequest::from_pem(pem_of(csr_der));
  if (!request) {
    return request.error().with_context("the certificate request");
  }
  const WallTime now = clock_.wall_now();
  EnrolledDevice out;
  out.device_id = device_id_of(request->public_key());
  out.tenant_id = granted->tenant_id;
  out.site_id = granted->site_id;

  // What the request asks for is ignored: the controller decides who the device is.
  security::CertificateGrant grant;
  grant.names.common_name = out.device_id;
  grant.names.spiffe_id =
      security::SpiffeId{identity_.trust_domain, security::SpiffeId::Kind::kDevice, out.device_id}
          .to_string();
  // A gateway whose clock is a little behind must not find its new certificate in the future.
  grant.not_before = now - std::chrono::minutes{5};
  grant.lifetime = std::chrono::duration_cast<std::chrono::hours>(identity_.device_certificate);
  const auto certificate = authority_.issue(request->public_key(), grant);
  if (!certificate) {
    return certificate.error().with_context("issuing the certificate of " + out.device_id);
  }
  out.certificate_chain_pem = certificate->pem();
  out.trust_bundle_pem = authority_.certificate().pem();

  DeviceRecord device;
  device.device_id = out.device_id;
  device.tenant_id = out.tenant_id;
  device.site_id = out.site_id;
  device.note = granted->note;
  device.info = info;
  device.enrolled_ms = to_ms(now);
  device.certificate_expires_ms = to_ms(certificate->not_after());
  device.certificate_fingerprint = certificate->fingerprint().hex();
  CertificateRecord record;
  record.fingerprint = device.certificate_fingerprint;
  record.serial = certificate->serial_hex();
  record.kind = "device";
  record.subject = out.device_id;
  record.tenant_id = out.tenant_id;
  record.issued_ms = to_ms(now);
  record.not_after_ms = device.certificate_expires_ms;
  if (auto enrolled = store_.enrol(granted->token_id, device, record); !enrolled) {
    return enrolled.error();
  }
  return out;
}

}  // namespace skerry::controller
