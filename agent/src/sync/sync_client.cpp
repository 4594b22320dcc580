#include <fstream>
#include <utility>

#include <sys/utsname.h>

#include "skerry/async/offload.hpp"
#include "skerry/async/run_until_first_exit.hpp"
#include "skerry/async/sleep.hpp"
#include "skerry/security/certificate.hpp"

#include "../grpc/status.hpp"
#include "sync_client_impl.hpp"

namespace skerry::agent {
namespace fleet_pb = fleet::v1;
namespace {

constexpr std::chrono::seconds kHelloDeadline{20};
// A refusal seldom heals by itself: somebody has to bring a new token or a newer program.
constexpr std::chrono::milliseconds kRefusedPause{5'000};
constexpr std::size_t kBatchBytes = 512U << 10U;
// Messages waiting to be sent before the outbox holds back.
constexpr std::size_t kMaxBacklog = 64;

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

}  // namespace

SyncClient::SyncClient(Core& core,
                       Installer& installer,
                       SlotManager& slots,
                       Outbox& outbox,
                       security::AuditLog& audit,
                       ModelHost& host)
    : impl_(std::make_unique<Impl>(core, installer, slots, outbox, audit, host)) {
  impl_->state.controller = core.settings->controller().address;
}

SyncClient::~SyncClient() {
  if (impl_->trust) {
    impl_->trust->close();
  }
}

void SyncClient::on_identity(OnIdentity callback) {
  impl_->on_identity = std::move(callback);
}

const SyncState& SyncClient::state() const {
  return impl_->state;
}

Task<void> SyncClient::run() {
  std::vector<Task<void>> parts;
  parts.push_back(impl_->run());
  parts.push_back(impl_->wait_for_end());
  co_await async::run_until_first_exit(std::move(parts));
}

void SyncClient::end(const std::string& order_id) {
  impl_->ending = order_id;
  if (impl_->live) {
    fleet_pb::DeviceMessage message;
    message.mutable_decommission()->set_order_id(order_id);
    impl_->live->write(std::move(message));
  }
  impl_->end_signal.notify();
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

std::chrono::milliseconds SyncClient::Impl::disconnected(const Error& error) {
  const bool refused = error.code() == Error::Code::kEnrolmentRefused ||
                       error.code() == Error::Code::kProtocolMismatch ||
                       error.code() == Error::Code::kPermissionDenied ||
                       error.code() == Error::Code::kUnauthenticated ||
                       error.code() == Error::Code::kNotEnrolled;
  // Said once: it is tried again for months if need be.
  const bool known = state.last_error == error.to_string();
  set_state(refused ? "refused" : "backing off", error.to_string());
  if (refused && !known) {
    core.log.error("sync.refused", error);
  } else if (!known) {
    core.log.warning("sync.disconnected", error);
  }
  return backoff.next(refused ? kRefusedPause : std::chrono::milliseconds(0));
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
    if (!done && channel && done.error().code() == Error::Code::kCertificateInvalid) {
      // The controller's word, not this clock's.
      const std::string why = done.error().message();
      done = co_await renew_certificate(why);
      if (done) {
        continue;
      }
    }
    const auto pause = done ? backoff.next() : disconnected(done.error());
    co_await async::sleep_for(pause);
  }
}

Task<Result<void>> SyncClient::Impl::ensure_enrolled() {
  if (identity) {
    co_return Result<void>();
  }
  struct Opened {
    sync::Credentials credentials;
    registry::DeviceProfile profile;
  };
  auto open = [this]() -> Result<Opened> {
    Opened opened;
    Result<sync::Credentials> credentials =
        sync::load_credentials(core.fs, core.settings->state_dir());
    if (!credentials) {
      return credentials.error();
    }
    opened.credentials = *std::move(credentials);
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
  sync::Credentials& credentials = opened->credentials;
  if (!credentials.identity) {
    set_state("enrolling");
    fleet_pb::DeviceInfo info = device_info(*core.settings, opened->profile);
    auto pin = [this](const std::string& root) { return installer.director().pin(root); };
    Result<sync::DeviceIdentity> enrolled =
        co_await sync::enrol(core, credentials.key, std::move(info), std::move(pin));
    if (!enrolled) {
      co_return enrolled.error();
    }
    credentials.identity = *std::move(enrolled);
    core.log.info("sync.enrolled",
                  {{"device_id", credentials.identity->device_id},
                   {"tenant", credentials.identity->tenant_id},
                   {"certificate_expires", to_rfc3339(credentials.identity->expires)}});
  }
  Result<void> adopted = adopt(std::move(credentials));
  if (adopted) {
    backoff.reset();
  }
  co_return adopted;
}

// For what else speaks as this gateway.
void SyncClient::Impl::tell_identity() {
  Result<security::Certificate> own =
      security::Certificate::from_pem(identity->certificate_chain_pem);
  Result<security::SpiffeId> name = own ? own->identity() : Result<security::SpiffeId>{own.error()};
  if (!name) {
    core.log.error("sync.identity_unusable", name.error());
    return;
  }
  if (on_identity) {
    on_identity(PeerIdentity{
        identity->certificate_chain_pem, key_pem, identity->trust_bundle_pem, name->trust_domain});
  }
}

Task<Result<void>> SyncClient::Impl::connect() {
  set_state("connecting");
  sync::Identity hello;
  hello.tenant_id = identity->tenant_id;
  hello.site_id = identity->site_id;
  hello.boot_id = boot_id();
  auto verified = [this, id = identity->device_id] {
    installer.director().identify(id);
    return installer.director().versions();
  };
  Result<DirectorClient::Versions> director =
      co_await async::offload(core.disk, std::move(verified));
  if (director) {
    hello.director = *director;
  } else {
    core.log.error("director.unreadable", director.error());
  }
  Result<std::string> nonce = co_await shown_nonce();
  if (!nonce) {
    co_return nonce.error();
  }
  hello.nonce = *std::move(nonce);
  hello.trust_sha256 = trust->anchors().digest().raw();
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
  stream->write(
      session->hello(unix_ms_of(core.clock.wall_now()), slots.generations(), checkpoint()));
  std::vector<Task<void>> loops;
  loops.push_back(read_loop(stream, session));
  loops.push_back(write_loop(stream, session));
  loops.push_back(hello_timeout(session));
  loops.push_back(renewal_loop(session));
  co_await async::run_until_first_exit(std::move(loops));
  stream->cancel();
  grpc::Status status = co_await stream->finish();
  live.reset();
  if (std::exchange(reconnect, false)) {
    co_return Result<void>();
  }
  if (session_error) {
    co_return *session_error;
  }
  if (!status.error_details().empty()) {
    co_return from_status(status);
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
      message.mutable_heartbeat()->set_wall_time_unix_ms(unix_ms_of(core.clock.wall_now()));
      stream->write(std::move(message));
    }
  }
}

}  // namespace skerry::agent
