// The gateway's identity while it lives: taken into use, renewed, its authorities replaced.

#include <algorithm>
#include <utility>

#include "skerry/async/offload.hpp"
#include "skerry/async/sleep.hpp"
#include "skerry/common/bytes.hpp"
#include "skerry/security/decommission.hpp"

#include "../daemon/decommission.hpp"
#include "sync_client_impl.hpp"

namespace skerry::agent {
namespace {

// Suspend stops the timers, and clocks are corrected: the time is asked again this often.
constexpr std::chrono::milliseconds kLookAgain = std::chrono::minutes{10};
constexpr std::string_view kActor = "sync";
constexpr std::string_view kNonceFile = "sync-nonce";
constexpr std::size_t kMaxNonceFile = 256;
constexpr std::chrono::seconds kReceiptPatience{5};
constexpr std::chrono::milliseconds kReceiptStep{50};

security::AuditEvent identity_event(std::string action, std::string correlation) {
  auto event = security::AuditEvent::intent(security::AuditClass::kAuthentication,
                                            security::Principal::system(std::string{kActor}),
                                            std::move(action),
                                            std::move(correlation));
  event.authn_method = "internal";
  return event;
}

}  // namespace

Result<void> SyncClient::Impl::adopt(sync::Credentials credentials) {
  Result<security::TrustAnchors> anchors =
      security::TrustAnchors::from_pem(credentials.identity->trust_bundle_pem);
  if (!anchors) {
    return anchors.error().with_context("identity.json");
  }
  Result<security::Certificate> leaf =
      security::Certificate::from_pem(credentials.identity->certificate_chain_pem);
  Result<security::SpiffeId> name = leaf ? leaf->identity() : leaf.error();
  if (!name) {
    return name.error().with_context("identity.json");
  }
  if (trust) {
    trust->replace(*std::move(anchors));
  } else {
    trust = std::make_shared<sync::ServerTrust>(
        *std::move(anchors), name->trust_domain, installer.time());
  }
  identity = std::move(credentials.identity);
  certificate = *std::move(leaf);
  key = std::move(credentials.key);
  key_pem = std::move(credentials.key_pem);
  state.enrolled = true;
  state.device_id = identity->device_id;
  state.certificate_expires = identity->expires;
  channel = sync::make_device_channel(core.settings->controller(), *identity, key_pem, trust);
  source = std::make_shared<sync::ControllerSource>(channel);
  tell_identity();
  return {};
}

Task<Result<void>> SyncClient::Impl::record(security::AuditEvent event) {
  auto append = [this, event = std::move(event)]() -> Result<void> {
    auto appended = audit.append(event);
    if (!appended) {
      return appended.error();
    }
    return {};
  };
  Result<void> done = co_await async::offload(strand, std::move(append));
  co_return done;
}

Task<void> SyncClient::Impl::note(security::AuditEvent event) {
  Result<void> done = co_await record(std::move(event));
  if (!done) {
    core.log.error("audit.append_failed", done.error());
  }
}

std::chrono::milliseconds SyncClient::Impl::until_next_renewal() {
  // The controller's time is known by now.
  auto pause = sync::until_renewal(*certificate, installer.time().now().now);
  // The newest authority comes last: what an older one signed will not count for ever.
  if (certificate->verify_signature(trust->anchors().certificates().back())) {
    follow_at.reset();
    return pause;
  }
  const BootTime now = core.clock.boot_now();
  if (!follow_at) {
    const auto spread = static_cast<std::uint64_t>(core.settings->sync().renewal_spread.count());
    follow_at =
        now + std::chrono::milliseconds{static_cast<std::int64_t>(core.random.below(spread + 1))};
  }
  const auto follow = std::chrono::ceil<std::chrono::milliseconds>(*follow_at - now);
  return std::clamp(follow, std::chrono::milliseconds{0}, pause);
}

Task<void> SyncClient::Impl::renewal_loop(std::shared_ptr<sync::Session> session) {
  while (true) {
    if (!session->established()) {
      co_await poke.wait();
      continue;
    }
    const std::chrono::milliseconds pause = until_next_renewal();
    if (pause > std::chrono::milliseconds(0)) {
      co_await poke.wait_for(std::min(pause, kLookAgain));
      continue;
    }
    const std::string why =
        follow_at ? "there is a newer certificate authority" : "half of its life has passed";
    Result<void> renewed = co_await renew_certificate(why);
    if (renewed) {
      reconnect = true;
      co_return;
    }
    core.log.warning("certificate.renewal_failed", renewed.error());
    co_await async::sleep_for(renewal_backoff.next());
  }
}

Task<Result<void>> SyncClient::Impl::renew_certificate(std::string why) {
  co_await wait_for_identity();
  const IdentityChange change(*this);
  security::AuditEvent intent =
      identity_event("certificate.renew", certificate->fingerprint().hex().substr(0, 16));
  Json::Object details;
  details.emplace("certificate", Json{certificate->fingerprint().hex()});
  details.emplace("ends", Json{to_rfc3339(certificate->not_after())});
  details.emplace("why", Json{why.substr(0, 512)});
  intent.details = Json{std::move(details)};
  Result<void> recorded = co_await record(intent);
  if (!recorded) {
    co_return recorded.error();
  }
  Result<sync::DeviceIdentity> renewed = co_await sync::renew(core, channel, *identity);
  if (!renewed) {
    co_await note(intent.outcome_of(security::AuditOutcome::kFailure, renewed.error().to_string()));
    co_return renewed.error();
  }
  auto load = [this] { return sync::load_credentials(core.fs, core.settings->state_dir()); };
  Result<sync::Credentials> credentials = co_await async::offload(core.disk, std::move(load));
  if (!credentials) {
    co_return credentials.error();
  }
  Result<void> adopted = adopt(*std::move(credentials));
  if (!adopted) {
    co_return adopted.error();
  }
  renewal_backoff.reset();
  backoff.reset();
  security::AuditEvent outcome = intent.outcome_of(security::AuditOutcome::kSuccess);
  Json::Object now;
  now.emplace("certificate", Json{certificate->fingerprint().hex()});
  now.emplace("ends", Json{to_rfc3339(certificate->not_after())});
  now.emplace("key", Json{identity->key_file});
  outcome.details = Json{std::move(now)};
  co_await note(std::move(outcome));
  core.log.info("certificate.renewed",
                {{"device_id", identity->device_id},
                 {"certificate_expires", to_rfc3339(identity->expires)},
                 {"why", why}});
  co_return Result<void>();
}

// The controller accepted the certificate that is in use: former keys are of no use but to a thief.
Task<void> SyncClient::Impl::forget_former_keys() {
  auto work = [this, keep = identity->key_file] {
    return sync::forget_former_keys(core.fs, core.settings->state_dir() / "keys", keep);
  };
  Result<void> done = co_await async::offload(core.disk, std::move(work));
  if (!done) {
    core.log.warning("certificate.former_key_left", done.error());
  }
}

Task<void> SyncClient::Impl::adopt_trust(fleet::v1::TrustBundle bundle) {
  co_await wait_for_identity();
  const IdentityChange change(*this);
  security::AuditEvent event = identity_event("trust.authorities", trust->anchors().digest().hex());
  event.audit_class = security::AuditClass::kTrust;
  event.phase = security::AuditPhase::kSingle;
  Result<security::TrustAnchors> next =
      trust->anchors().succeeded_by(bundle.anchors_pem(), bundle.cross_certificates_pem());
  if (!next) {
    core.log.error("trust.authorities_refused", next.error());
    event.outcome = security::AuditOutcome::kDenied;
    event.reason = next.error().to_string();
    co_await note(std::move(event));
    co_return;
  }
  sync::DeviceIdentity changed = *identity;
  changed.trust_bundle_pem = next->pem();
  auto store = [this, changed, spki = certificate->spki_digest()] {
    return sync::store_identity(
        core.fs, core.settings->state_dir() / "identity.json", changed, spki);
  };
  Result<sync::DeviceIdentity> stored = co_await async::offload(core.disk, std::move(store));
  if (!stored) {
    core.log.error("trust.authorities_not_stored", stored.error());
    co_return;
  }
  identity = *std::move(stored);
  trust->replace(*next);
  tell_identity();
  std::string names;
  for (const security::Certificate& anchor : next->certificates()) {
    names += (names.empty() ? "" : ", ") + anchor.common_name();
  }
  Json::Object details;
  details.emplace("authorities", Json{names.substr(0, 1024)});
  event.details = Json{std::move(details)};
  co_await note(std::move(event));
  core.log.info("trust.authorities", {{"trusted", names}});
}

Task<Result<std::string>> SyncClient::Impl::shown_nonce() {
  auto read = [this]() -> Result<std::string> {
    const std::filesystem::path file = core.settings->state_dir() / kNonceFile;
    if (!core.fs.exists(file)) {
      return std::string{};
    }
    Result<std::string> text = read_file(core.fs, file, kMaxNonceFile);
    if (!text) {
      return text.error();
    }
    Result<Bytes> nonce = from_hex(*text);
    if (!nonce) {
      return nonce.error().with_context(file.string());
    }
    return std::string{as_text(*nonce)};
  };
  Result<std::string> nonce = co_await async::offload(core.disk, std::move(read));
  co_return nonce;
}

Task<void> SyncClient::Impl::keep_nonce(std::string nonce, std::shared_ptr<Stream> stream) {
  auto write = [this, text = to_hex(as_bytes(nonce))] {
    return write_file_atomic(core.fs, core.settings->state_dir() / kNonceFile, text, 0600);
  };
  Result<void> stored = co_await async::offload(core.disk, std::move(write));
  if (!stored) {
    core.log.error("sync.nonce_not_stored", stored.error());
    co_return;
  }
  fleet::v1::DeviceMessage message;
  message.mutable_nonce_stored()->set_nonce(nonce);
  stream->write(std::move(message));
}

Task<void> SyncClient::Impl::obey(fleet::v1::DecommissionOrder order) {
  security::DecommissionOrder signed_order;
  signed_order.device_id = order.device_id();
  signed_order.order_id = order.order_id();
  signed_order.issued_ms = static_cast<std::int64_t>(order.issued_unix_ms());
  signed_order.reason = order.reason();
  std::vector<Bytes> signatures;
  for (const std::string& one : order.signatures()) {
    const ByteView bytes = as_bytes(one);
    signatures.emplace_back(bytes.begin(), bytes.end());
  }
  Result<void> valid = verify_decommission(signed_order, signatures, trust->anchors());
  if (valid && signed_order.device_id != identity->device_id) {
    valid = Error(Error::Code::kInvalidArgument,
                  "the order is for " + signed_order.device_id.substr(0, 80));
  }
  security::AuditEvent event = identity_event("device.decommission", signed_order.order_id);
  event.audit_class = security::AuditClass::kAdministration;
  Json::Object details;
  details.emplace("reason", Json{signed_order.reason.substr(0, 512)});
  event.details = Json{std::move(details)};
  if (!valid) {
    core.log.error("device.decommission_refused", valid.error());
    event.phase = security::AuditPhase::kSingle;
    event.outcome = security::AuditOutcome::kDenied;
    event.reason = valid.error().to_string();
    event.details = Json{};
    co_await note(std::move(event));
    co_return;
  }
  co_await note(std::move(event));
  auto begin = [this, signed_order] {
    Decommission record;
    record.order_id = signed_order.order_id;
    record.reason = signed_order.reason;
    record.by = "controller";
    record.at = core.clock.wall_now();
    return begin_decommission(core.fs, core.settings->state_dir(), record);
  };
  Result<void> begun = co_await async::offload(core.disk, std::move(begin));
  if (!begun) {
    // The controller sends the order again with the next hello.
    core.log.error("device.decommission_not_begun", begun.error());
    co_return;
  }
  core.log.warning("device.decommission", {{"by", "controller"}, {"order", signed_order.order_id}});
  ending = signed_order.order_id;
  fleet::v1::DeviceMessage message;
  message.mutable_decommission()->set_order_id(ending);
  if (live) {
    live->write(std::move(message));
  }
  end_signal.notify();
}

Task<void> SyncClient::Impl::wait_for_end() {
  while (ending.empty()) {
    co_await end_signal.wait();
  }
  // The controller closes the stream when it has the receipt.
  const BootTime patience = core.clock.boot_now() + kReceiptPatience;
  while (live && core.clock.boot_now() < patience) {
    co_await async::sleep_for(kReceiptStep);
  }
}

}  // namespace skerry::agent
