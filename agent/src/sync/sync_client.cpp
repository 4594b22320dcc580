#include "skerry/agent/sync_client.hpp"

#include <fstream>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <sys/utsname.h>

#include "skerry/async/backoff.hpp"
#include "skerry/async/bidi_stream.hpp"
#include "skerry/async/offload.hpp"
#include "skerry/async/run_until_first_exit.hpp"
#include "skerry/async/sleep.hpp"

#include "controller_channel.hpp"
#include "enrolment.hpp"
#include "session.hpp"

namespace skerry::agent {
namespace fleet_pb = fleet::v1;
namespace asio = boost::asio;
namespace {

using Stream = async::BidiStream<fleet_pb::DeviceMessage, fleet_pb::ControllerMessage>;

constexpr std::chrono::seconds kHelloDeadline{20};
// A refusal seldom heals by itself: somebody has to bring a new token or a newer program.
constexpr std::chrono::milliseconds kRefusedPause{5'000};
// 9999-12-31: what RFC 3339 can say.
constexpr std::uint64_t kLatestWallMs = 253'402'300'799'000;
constexpr std::size_t kBatchBytes = 512U << 10U;
// Messages waiting to be sent before the outbox holds back.
constexpr std::size_t kMaxBacklog = 64;

async::Backoff::Limits backoff_limits(const Settings& settings) {
  async::Backoff::Limits limits;
  limits.first = settings.sync().backoff_first;
  limits.longest = settings.sync().backoff_longest;
  return limits;
}

std::uint64_t unix_ms(WallTime time) {
  return static_cast<std::uint64_t>(time.time_since_epoch().count());
}

std::string os_name() {
  std::ifstream file{"/etc/os-release"};
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with("PRETTY_NAME=")) {
      line.erase(0, 12);
      std::erase(line, '"');
      return line;
    }
  }
  return "Linux";
}

fleet_pb::DeviceInfo device_info(const Settings& settings, const registry::DeviceProfile& profile) {
  fleet_pb::DeviceInfo info;
  info.set_hostname(settings.device().name);
  info.set_agent_version(SKERRY_VERSION);
  info.set_os(os_name());
  info.set_machine(profile.arch);
  info.set_cpus(profile.cpus);
  info.set_memory_bytes(profile.memory_total);
  for (const std::string& flag : profile.isa) {
    // The kernel lists hundreds; what engines choose by is what an operator filters by.
    if (flag.starts_with("avx") || flag.starts_with("sse4") || flag.starts_with("amx") ||
        flag == "fma" || flag == "f16c" || flag.starts_with("asimd") || flag == "sve" ||
        flag == "i8mm" || flag == "bf16") {
      info.add_isa(flag);
    }
  }
  info.add_accelerators("cpu");
  for (const registry::RuntimeProfile& runtime : profile.runtimes) {
    info.add_runtimes()->set_name(runtime.plugin);
  }
  return info;
}

// Worth keeping for the controller although it may be away now.
bool is_lasting(activation::State state) {
  using activation::State;
  return activation::is_resting(state) || state == State::kProbation ||
         state == State::kRollingBack;
}

}  // namespace

struct SyncClient::Impl {
  Impl(Core& c, Installer& i, SlotManager& s, Outbox& o, security::AuditLog& a, ModelHost& h)
      : core(c),
        installer(i),
        slots(s),
        outbox(o),
        audit(a),
        host(h),
        strand(asio::make_strand(c.disk)),
        backoff(backoff_limits(*c.settings), c.random),
        poke(c.control) {}

  Task<void> run();
  Task<Result<void>> ensure_enrolled();
  Task<Result<void>> connect();
  Task<void> read_loop(std::shared_ptr<Stream> stream, std::shared_ptr<sync::Session> session);
  Task<void> write_loop(std::shared_ptr<Stream> stream, std::shared_ptr<sync::Session> session);
  Task<void> hello_timeout(std::shared_ptr<sync::Session> session);
  Task<void> apply(sync::Session::Effects effects, std::shared_ptr<Stream> stream);
  Task<void> refresh_trust();
  Task<void> prove_growth(std::uint64_t old_size,
                          std::uint64_t new_size,
                          std::shared_ptr<Stream> stream);
  [[nodiscard]] fleet_pb::SlotReport to_report(const SlotView& view) const;
  [[nodiscard]] std::optional<fleet_pb::AuditCheckpoint> checkpoint() const;
  void put(std::string_view stream, const fleet_pb::OutboxRecord& record);
  void set_state(std::string_view name, const std::string& error = {});

  Core& core;
  Installer& installer;
  SlotManager& slots;
  Outbox& outbox;
  security::AuditLog& audit;
  ModelHost& host;
  asio::any_io_executor strand;
  async::Backoff backoff;
  Notifier poke;

  SyncState state;
  std::optional<sync::DeviceIdentity> identity;
  std::shared_ptr<const security::Signer> key;
  std::string key_pem;
  std::shared_ptr<grpc::Channel> channel;
  std::shared_ptr<sync::ControllerSource> source;
  std::shared_ptr<Stream> live;
  std::optional<Error> session_error;
};

SyncClient::SyncClient(Core& core,
                       Installer& installer,
                       SlotManager& slots,
                       Outbox& outbox,
                       security::AuditLog& audit,
                       ModelHost& host)
    : impl_(std::make_unique<Impl>(core, installer, slots, outbox, audit, host)) {
  impl_->state.controller = core.settings->controller().address;
}

SyncClient::~SyncClient() = default;

const SyncState& SyncClient::state() const {
  return impl_->state;
}

Task<void> SyncClient::run() {
  return impl_->run();
}

Task<void> SyncClient::close() {
  if (impl_->live) {
    impl_->live->cancel();
    co_await impl_->live->finish();
    impl_->live.reset();
  }
  if (impl_->source) {
    impl_->source->abort();
  }
}

void SyncClient::Impl::set_state(std::string_view name, const std::string& error) {
  state.state = name;
  if (!error.empty()) {
    state.last_error = error;
  }
}

Task<void> SyncClient::Impl::run() {
  if (core.settings->controller().address.empty()) {
    while (true) {
      co_await poke.wait();
    }
  }
  while (true) {
    Result<void> done = co_await ensure_enrolled();
    if (done) {
      done = co_await connect();
    }
    if (!done) {
      const bool refused = done.error().code() == Error::Code::kEnrolmentRefused ||
                           done.error().code() == Error::Code::kProtocolMismatch ||
                           done.error().code() == Error::Code::kNotEnrolled;
      // Said once: it is tried again for months if need be.
      const bool known = state.last_error == done.error().to_string();
      set_state(refused ? "refused" : "backing off", done.error().to_string());
      if (refused && !known) {
        core.log.error("sync.refused", done.error());
      } else if (!known) {
        core.log.warning("sync.disconnected", done.error());
      }
      const auto pause = backoff.next(refused ? kRefusedPause : std::chrono::milliseconds(0));
      co_await async::sleep_for(pause);
      continue;
    }
    co_await async::sleep_for(backoff.next());
  }
}

Task<Result<void>> SyncClient::Impl::ensure_enrolled() {
  if (identity) {
    co_return Result<void>();
  }
  struct Opened {
    std::optional<sync::DeviceIdentity> identity;
    std::shared_ptr<const security::Signer> key;
    std::string key_pem;
    registry::DeviceProfile profile;
  };
  auto open = [this]() -> Result<Opened> {
    Opened opened;
    const std::filesystem::path root = core.settings->state_dir();
    Result<security::KeyUri> uri =
        security::KeyUri::parse("file:" + (root / "keys/device.pem").string());
    if (!uri) {
      return uri.error();
    }
    Result<std::unique_ptr<security::Signer>> signer =
        security::open_or_create_key(core.fs, *uri, security::KeyAlgorithm::kEcdsaP256);
    if (!signer) {
      return signer.error().with_context("device key");
    }
    opened.key = *std::move(signer);
    Result<std::string> pem = security::private_key_pem(core.fs, *uri);
    if (!pem) {
      return pem.error().with_context("device key");
    }
    opened.key_pem = *std::move(pem);
    Result<std::optional<sync::DeviceIdentity>> loaded =
        sync::load_identity(core.fs, root / "identity.json");
    if (!loaded) {
      return loaded.error();
    }
    opened.identity = *std::move(loaded);
    Result<registry::DeviceProfile> profile = installer.profile();
    if (!profile) {
      return profile.error();
    }
    opened.profile = *std::move(profile);
    return opened;
  };
  Result<Opened> opened = co_await async::offload(core.disk, std::move(open));
  if (!opened) {
    co_return opened.error();
  }
  key = opened->key;
  key_pem = opened->key_pem;
  if (!opened->identity) {
    set_state("enrolling");
    fleet_pb::DeviceInfo info = device_info(*core.settings, opened->profile);
    Result<sync::DeviceIdentity> enrolled = co_await sync::enrol(core, key, std::move(info));
    if (!enrolled) {
      co_return enrolled.error();
    }
    opened->identity = *std::move(enrolled);
    core.log.info("sync.enrolled",
                  {{"device_id", opened->identity->device_id},
                   {"tenant", opened->identity->tenant_id},
                   {"certificate_expires", to_rfc3339(opened->identity->expires)}});
  }
  identity = std::move(opened->identity);
  state.enrolled = true;
  state.device_id = identity->device_id;
  state.certificate_expires = identity->expires;
  channel = sync::make_device_channel(core.settings->controller(), *identity, key_pem);
  source = std::make_shared<sync::ControllerSource>(channel);
  backoff.reset();
  co_return Result<void>();
}

Task<Result<void>> SyncClient::Impl::connect() {
  set_state("connecting");
  sync::Identity hello;
  hello.tenant_id = identity->tenant_id;
  hello.site_id = identity->site_id;
  hello.boot_id = boot_id();
  auto profile = [this] { return installer.profile(); };
  Result<registry::DeviceProfile> machine = co_await async::offload(core.disk, std::move(profile));
  if (machine) {
    hello.info = device_info(*core.settings, *machine);
  }
  auto session = std::make_shared<sync::Session>(std::move(hello));
  const std::shared_ptr<Stream> stream = Stream::create(core.control);
  const std::unique_ptr<fleet_pb::DeviceService::Stub> stub =
      fleet_pb::DeviceService::NewStub(channel);
  stub->async()->Connect(&stream->context(), stream->reactor());
  stream->start();
  live = stream;
  session_error.reset();
  stream->write(session->hello(unix_ms(core.clock.wall_now()), slots.generations(), checkpoint()));
  std::vector<Task<void>> loops;
  loops.push_back(read_loop(stream, session));
  loops.push_back(write_loop(stream, session));
  loops.push_back(hello_timeout(session));
  co_await async::run_until_first_exit(std::move(loops));
  stream->cancel();
  grpc::Status status = co_await stream->finish();
  live.reset();
  if (session_error) {
    co_return *session_error;
  }
  if (!session->established() && status.error_code() == grpc::StatusCode::FAILED_PRECONDITION) {
    co_return Error(Error::Code::kProtocolMismatch, status.error_message());
  }
  const std::string why = status.ok() ? "the controller ended the stream" : status.error_message();
  co_return Error(Error::Code::kUnavailable, why);
}

// Ends the connection if the controller has not answered the hello in time.
Task<void> SyncClient::Impl::hello_timeout(std::shared_ptr<sync::Session> session) {
  co_await async::sleep_for(kHelloDeadline);
  if (!session->established()) {
    session_error = Error(Error::Code::kDeadlineExceeded, "the controller did not answer");
    co_return;
  }
  Notifier never(core.control);
  while (true) {
    co_await never.wait();
  }
}

Task<void> SyncClient::Impl::read_loop(std::shared_ptr<Stream> stream,
                                       std::shared_ptr<sync::Session> session) {
  while (true) {
    std::optional<fleet_pb::ControllerMessage> message = co_await stream->read();
    if (!message) {
      co_return;
    }
    state.last_contact = core.clock.wall_now();
    Result<sync::Session::Effects> effects = session->on_message(*message);
    if (!effects) {
      session_error = effects.error();
      co_return;
    }
    if (effects->established) {
      backoff.reset();
      state.protocol_version = session->protocol();
      state.last_error.clear();
      set_state("connected");
      core.log.info("sync.connected",
                    {{"controller", state.controller}, {"protocol", session->protocol()}});
    }
    co_await apply(*std::move(effects), stream);
    poke.notify();
  }
}

Task<void> SyncClient::Impl::apply(sync::Session::Effects effects, std::shared_ptr<Stream> stream) {
  if (effects.wall_ms > 0 && effects.wall_ms < kLatestWallMs) {
    const WallTime told{std::chrono::milliseconds(static_cast<std::int64_t>(effects.wall_ms))};
    if (installer.time().vouch(told)) {
      auto persist = [this] { return installer.persist_time_floor(); };
      Result<void> persisted = co_await async::offload(strand, std::move(persist));
      if (!persisted) {
        core.log.error("time.floor_not_persisted", persisted.error());
      }
    }
  }
  if (effects.acknowledged) {
    auto work = [this, acknowledged = *effects.acknowledged, hello = effects.established]() {
      if (hello) {
        if (Result<void> skipped = outbox.skip_to(acknowledged); !skipped) {
          return skipped;
        }
      }
      return outbox.acknowledge(acknowledged);
    };
    Result<void> done = co_await async::offload(strand, std::move(work));
    if (!done) {
      core.log.error("sync.acknowledge_failed", done.error());
    }
  }
  if (effects.established) {
    // What changed while we were away, and whoever waits for a source goes on.
    for (const SlotView& view : slots.views()) {
      fleet_pb::DeviceMessage message;
      *message.mutable_report() = to_report(view);
      stream->write(std::move(message));
    }
    slots.set_source(source);
  }
  for (const sync::Session::Effects::SlotOffer& offer : effects.offers) {
    slots.offer(offer.slot, offer.offer);
  }
  if (effects.prove) {
    core.tasks.spawn("sync.prove_audit",
                     prove_growth(effects.prove->old_size, effects.prove->new_size, stream));
  }
  if (effects.refresh_trust) {
    core.tasks.spawn("sync.refresh_trust", refresh_trust());
  }
}

// For the witness: that the log only grew. It reads the segments in between.
Task<void> SyncClient::Impl::prove_growth(std::uint64_t old_size,
                                          std::uint64_t new_size,
                                          std::shared_ptr<Stream> stream) {
  auto work = [this, old_size, new_size] { return audit.prove_consistency(old_size, new_size); };
  Result<std::vector<Digest>> proof = co_await async::offload(strand, std::move(work));
  fleet_pb::DeviceMessage message;
  fleet_pb::AuditProof& out = *message.mutable_audit_proof();
  out.set_old_size(old_size);
  out.set_new_size(new_size);
  if (proof) {
    for (const Digest& hash : *proof) {
      out.add_hashes(hash.raw());
    }
  } else {
    core.log.error("audit.growth_not_proven", proof.error());
    out.set_error(proof.error().to_string());
  }
  stream->write(std::move(message));
}

Task<void> SyncClient::Impl::refresh_trust() {
  auto work = [this, from = source] { return installer.refresh_trust(*from); };
  Result<security::tuf::RefreshOutcome> outcome =
      co_await async::offload(core.transfer(), std::move(work));
  if (!outcome) {
    core.log.warning("trust.refresh_failed", outcome.error());
  } else if (outcome->changed) {
    core.log.info("trust.refreshed",
                  {{"targets", outcome->targets_version},
                   {"snapshot", outcome->snapshot_version},
                   {"timestamp", outcome->timestamp_version}});
  }
}

Task<void> SyncClient::Impl::write_loop(std::shared_ptr<Stream> stream,
                                        std::shared_ptr<sync::Session> session) {
  BootTime last_heartbeat = core.clock.boot_now();
  while (true) {
    if (session->may_send() && stream->backlog() < kMaxBacklog) {
      auto read = [this] {
        const std::map<std::string, std::uint64_t> from_the_start;
        return outbox.read(from_the_start, kBatchBytes);
      };
      Result<std::vector<OutboxEntry>> entries = co_await async::offload(strand, std::move(read));
      if (!entries) {
        core.log.error("sync.outbox_failed", entries.error());
      } else if (!entries->empty() && session->may_send()) {
        stream->write(session->batch(*entries));
      }
    }
    co_await poke.wait_for(core.settings->sync().heartbeat);
    const BootTime now = core.clock.boot_now();
    if (session->established() && now - last_heartbeat >= core.settings->sync().heartbeat) {
      last_heartbeat = now;
      fleet_pb::DeviceMessage message;
      message.mutable_heartbeat()->set_wall_time_unix_ms(unix_ms(core.clock.wall_now()));
      stream->write(std::move(message));
    }
  }
}

fleet_pb::SlotReport SyncClient::Impl::to_report(const SlotView& view) const {
  const activation::Record& record = view.record;
  fleet_pb::SlotReport report;
  report.set_slot(view.slot);
  report.set_generation(record.offer.generation);
  report.set_state(std::string{activation::to_string(record.state)});
  report.set_reason_code(record.reason_code);
  report.set_reason(record.reason.substr(0, 2048));
  report.set_target(record.offer.target);
  report.set_manifest_digest(record.manifest_digest);
  report.set_variant(record.variant);
  for (const std::string& reason : record.variant_reasons) {
    report.add_variant_reasons(reason.substr(0, 512));
  }
  report.set_fetched_bytes(view.progress.fetched_bytes);
  report.set_total_bytes(view.progress.total_bytes);
  report.set_reused_bytes(view.progress.reused_bytes);
  report.set_at_unix_ms(unix_ms(core.clock.wall_now()));
  report.set_rollout_id(record.offer.rollout_id);
  if (const ServedModelPtr active = host.in_slot(view.slot)) {
    report.set_active_target(active->manifest->target_path);
  }
  return report;
}

std::optional<fleet_pb::AuditCheckpoint> SyncClient::Impl::checkpoint() const {
  const security::Checkpoint sealed = audit.checkpoint();
  if (sealed.size == 0) {
    return std::nullopt;
  }
  fleet_pb::AuditCheckpoint out;
  out.set_note(audit.checkpoint_note());
  out.set_size(sealed.size);
  out.set_root(sealed.root.raw());
  out.set_verifier_key(audit.verifier_key());
  return out;
}

void SyncClient::Impl::put(std::string_view stream, const fleet_pb::OutboxRecord& record) {
  asio::post(strand, [this, stream = std::string{stream}, body = record.SerializeAsString()] {
    if (Result<std::uint64_t> seq = outbox.append(stream, body); !seq) {
      core.log.error("outbox.append_failed", seq.error());
      return;
    }
    asio::post(core.control, [this] { poke.notify(); });
  });
}

void SyncClient::report(const SlotView& view) {
  Impl& self = *impl_;
  if (self.state.controller.empty()) {
    return;
  }
  const fleet_pb::SlotReport report = self.to_report(view);
  if (self.live && self.state.state == "connected") {
    fleet_pb::DeviceMessage message;
    *message.mutable_report() = report;
    self.live->write(std::move(message));
  }
  if (is_lasting(view.record.state)) {
    fleet_pb::OutboxRecord record;
    *record.mutable_report() = report;
    self.put(kEventStream, record);
  }
}

void SyncClient::audit_checkpoint(const security::Checkpoint& checkpoint, const std::string& note) {
  Impl& self = *impl_;
  if (self.state.controller.empty()) {
    return;
  }
  fleet_pb::OutboxRecord record;
  record.mutable_audit()->set_note(note);
  record.mutable_audit()->set_size(checkpoint.size);
  record.mutable_audit()->set_root(checkpoint.root.raw());
  record.mutable_audit()->set_verifier_key(self.audit.verifier_key());
  self.put(kAuditStream, record);
}

}  // namespace skerry::agent
