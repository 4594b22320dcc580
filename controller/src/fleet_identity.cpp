// FleetService: the certificate authorities, and operators' own certificates.

#include <utility>

#include "fleet_service.hpp"

namespace skerry::controller {
namespace {

namespace pb = fleet::v1;
using security::SpiffeId;
using security::Verb;

constexpr std::chrono::hours kRenewedOperatorLifetime{400 * 24};
constexpr std::size_t kMaxOperatorRequest = 16U << 10U;

// A certificate in use begins after the authority that signed it, and before the next one.
Result<pb::ListAuthoritiesResponse> authorities_view(const ServiceContext& context) {
  pb::ListAuthoritiesResponse out;
  const auto views = context.identity.authorities->list();
  for (const auto& view : views) {
    auto* authority = out.add_authorities();
    authority->set_generation(view.generation);
    authority->set_state(std::string{to_string(view.state)});
    authority->set_common_name(view.certificate.common_name());
    authority->set_fingerprint_sha256(view.certificate.fingerprint().hex());
    authority->set_not_after_unix_ms(
        static_cast<std::uint64_t>(view.certificate.not_after().time_since_epoch().count()));
  }
  out.set_trust_bundle_pem(context.identity.authorities->bundle_pem());
  const auto devices = context.store.devices(context.guard.tenant(), "");
  if (!devices) {
    return devices.error();
  }
  for (const auto& device : *devices) {
    if (device.revoked) {
      continue;
    }
    const auto life = context.store.life(device.device_id);
    if (!life) {
      return life.error();
    }
    int issuer = 0;
    for (int i = 1; i < out.authorities_size(); ++i) {
      const auto begins =
          views[static_cast<std::size_t>(i)].certificate.not_before().time_since_epoch().count();
      issuer = life->confirmed_ms >= begins ? i : issuer;
    }
    auto* authority = out.mutable_authorities(issuer);
    authority->set_devices(authority->devices() + 1);
  }
  return out;
}

// After a change: the server's chain, the first operator's bundle, the connected devices.
Result<void> follow_authorities(const ServiceContext& context, FileSystem& fs) {
  const auto refreshed = refresh_certificates(fs,
                                              context.clock.wall_now(),
                                              context.settings,
                                              *context.identity.authorities,
                                              context.identity.server_key->public_key());
  if (!refreshed) {
    return refreshed.error();
  }
  context.gateway.announce_authorities(*context.identity.authorities);
  return {};
}

}  // namespace

grpc::ServerUnaryReactor* FleetServiceImpl::ListAuthorities(grpc::CallbackServerContext* call,
                                                            const pb::ListAuthoritiesRequest*,
                                                            pb::ListAuthoritiesResponse* response) {
  const auto work = [this, call]() -> Result<pb::ListAuthoritiesResponse> {
    const auto caller = reader(*call, Verb::kFleetDevicesRead, "authority.list");
    if (!caller) {
      return caller.error();
    }
    return authorities_view(context_);
  };
  return answer(context_, call, response, work);
}

grpc::ServerUnaryReactor* FleetServiceImpl::RotateAuthority(grpc::CallbackServerContext* call,
                                                            const pb::RotateAuthorityRequest*,
                                                            pb::ListAuthoritiesResponse* response) {
  const auto work = [this, call]() -> Result<pb::ListAuthoritiesResponse> {
    const auto caller = context_.guard.caller(*call, SpiffeId::Kind::kOperator);
    if (!caller) {
      return caller.error();
    }
    const auto rotate = [this]() -> Result<void> {
      if (auto rotated = context_.identity.authorities->rotate(context_.clock.wall_now());
          !rotated) {
        return rotated;
      }
      return follow_authorities(context_, context_.fs);
    };
    const auto done =
        context_.guard.act(*caller, Verb::kFleetOperators, "authority.rotate", {}, rotate);
    if (!done) {
      return done.error();
    }
    return authorities_view(context_);
  };
  return answer(context_, call, response, work);
}

grpc::ServerUnaryReactor* FleetServiceImpl::RetireAuthority(
    grpc::CallbackServerContext* call,
    const pb::RetireAuthorityRequest* request,
    pb::ListAuthoritiesResponse* response) {
  const auto work = [this, call, request]() -> Result<pb::ListAuthoritiesResponse> {
    const auto caller = context_.guard.caller(*call, SpiffeId::Kind::kOperator);
    if (!caller) {
      return caller.error();
    }
    const auto retire = [this, request]() -> Result<void> {
      if (auto retired =
              context_.identity.authorities->retire(request->generation(), request->distrust());
          !retired) {
        return retired;
      }
      auto followed = follow_authorities(context_, context_.fs);
      // Whoever is connected by a certificate that counts no more comes back with another, or not.
      context_.gateway.close_all(
          Error{Error::Code::kUnavailable, "the fleet's certificate authorities have changed"});
      return followed;
    };
    const auto done =
        context_.guard.act(*caller,
                           Verb::kFleetOperators,
                           request->distrust() ? "authority.distrust" : "authority.retire",
                           {},
                           retire);
    if (!done) {
      return done.error();
    }
    return authorities_view(context_);
  };
  return answer(context_, call, response, work);
}

grpc::ServerUnaryReactor* FleetServiceImpl::RenewOperator(grpc::CallbackServerContext* call,
                                                          const pb::RenewRequest* request,
                                                          pb::RenewResponse* response) {
  const auto work = [this, call, request]() -> Result<pb::RenewResponse> {
    const auto caller = context_.guard.caller(*call, SpiffeId::Kind::kOperator);
    if (!caller) {
      return caller.error();
    }
    // Everybody may renew what is theirs; the name stays.
    if (request->csr_der().size() > kMaxOperatorRequest) {
      return Error{Error::Code::kTooLarge, "a certificate request has at most 16 KiB"};
    }
    const auto csr = security::CertificateRequest::from_der(as_bytes(request->csr_der()));
    if (!csr) {
      return csr.error().with_context("the certificate request");
    }
    security::CertificateGrant grant;
    grant.names.common_name = caller->name;
    grant.names.spiffe_id =
        SpiffeId{context_.settings.identity().trust_domain, SpiffeId::Kind::kOperator, caller->name}
            .to_string();
    grant.not_before = context_.clock.wall_now();
    grant.lifetime = kRenewedOperatorLifetime;
    const auto certificate = context_.identity.authorities->issue(csr->public_key(), grant);
    security::AuditEvent event;
    event.audit_class = security::AuditClass::kAuthentication;
    event.action = "operator.renew";
    event.actor = caller->principal;
    event.authn_method = "mtls";
    event.outcome =
        certificate ? security::AuditOutcome::kSuccess : security::AuditOutcome::kFailure;
    context_.guard.record(event);
    if (!certificate) {
      return certificate.error();
    }
    pb::RenewResponse out;
    out.set_certificate_chain_pem(certificate->pem());
    out.mutable_trust()->set_anchors_pem(context_.identity.authorities->bundle_pem());
    out.mutable_trust()->set_cross_certificates_pem(context_.identity.authorities->cross_pem());
    return out;
  };
  return answer(context_, call, response, work);
}

}  // namespace skerry::controller
