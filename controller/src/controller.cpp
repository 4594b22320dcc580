#include "skerry/controller/controller.hpp"

#include <cerrno>
#include <unistd.h>
#include <utility>

#include <boost/asio/thread_pool.hpp>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <sys/file.h>
#include <sys/mman.h>

#include "skerry/async/offload.hpp"
#include "skerry/async/sleep.hpp"
#include "skerry/common/unique_fd.hpp"
#include "skerry/controller/backup.hpp"

#include "device_service.hpp"
#include "enrolment_service.hpp"
#include "fleet_service.hpp"
#include "service_context.hpp"

namespace skerry::controller {
namespace {

constexpr std::size_t kPoolThreads = 4;
constexpr std::size_t kMaxPolicy = 1U << 20U;
constexpr int kMaxMessage = 8 << 20;
constexpr int kFrameSize = 1 << 20;
constexpr int kLookahead = 8 << 20;
constexpr std::chrono::seconds kTick{1};
constexpr int kTicksPerTouch = 30;
constexpr int kTicksPerHousekeeping = 60;

std::shared_ptr<grpc::ServerCredentials> server_credentials(const ControllerIdentity& identity,
                                                            const std::string& key_path) {
  // A certificate is asked for and its key proven, no more: enrolment has none yet, renewal takes
  // one that has ended, and authorities change while the server runs. Every other call is decided
  // by the guard. The chain is read again when its file changes; open connections go on.
  namespace tls = grpc::experimental;
  constexpr unsigned kRefreshSeconds = 1;
  tls::TlsServerCredentialsOptions options{std::make_shared<tls::FileWatcherCertificateProvider>(
      key_path, identity.server_certificate.string(), kRefreshSeconds)};
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);
  return tls::TlsServerCredentials(options);
}

// gRPC reads the server's key from a path; wherever the key lives, it is not written to disk for
// that.
Result<UniqueFd> key_in_memory(const std::string& pem) {
  UniqueFd fd{::memfd_create("skerry-server-key", MFD_CLOEXEC)};
  if (!fd) {
    return errno_error(errno, "a memory file for the server's key");
  }
  if (::write(fd.get(), pem.data(), pem.size()) != static_cast<ssize_t>(pem.size())) {
    return errno_error(errno, "a memory file for the server's key");
  }
  return fd;
}

Result<std::unique_ptr<security::PolicyStore>> open_policy(FileSystem& fs,
                                                           const Settings& settings) {
  if (!fs.exists(settings.policy_file())) {
    const auto text = default_policy(settings.identity().trust_domain);
    if (auto kept = write_file_atomic(fs, settings.policy_file(), text, 0600); !kept) {
      return kept.error().with_context("writing the first policy");
    }
  }
  auto store = security::PolicyStore::open(fs, settings.state_directory() / "policy-current.json");
  if (!store) {
    return store.error();
  }
  const auto text = read_file(fs, settings.policy_file(), kMaxPolicy);
  if (!text) {
    return text.error().with_context("state.policy_file");
  }
  if (auto taken = (*store)->replace(*text); !taken) {
    return taken.error().with_context(settings.policy_file().string());
  }
  return store;
}

// Two controllers on one state directory would each believe that they own it.
Result<std::unique_ptr<File>> lock_state(FileSystem& fs, const Settings& settings) {
  auto file = fs.open(settings.state_directory() / "lock", OpenMode::kCreate, 0600);
  if (!file) {
    return file.error();
  }
  if (::flock((*file)->fd(), LOCK_EX | LOCK_NB) != 0) {
    return Error{Error::Code::kFailedPrecondition,
                 "another controller is running on " + settings.state_directory().string()};
  }
  return file;
}

}  // namespace

struct Controller::Impl {
  Impl(Settings s, FileSystem& f, const Clock& c, Random& r, Log l)
      : settings(std::move(s)), fs(f), clock(c), random(r), log(std::move(l)) {}

  Result<void> open();
  Result<void> listen();
  // On the pool.
  void tick(int count);

  Settings settings;
  FileSystem& fs;
  const Clock& clock;
  Random& random;
  Log log;

  // Each uses those above it.
  std::unique_ptr<File> lock;
  ControllerIdentity identity;
  std::unique_ptr<security::PolicyStore> policy;
  std::unique_ptr<security::AuditLog> audit;
  std::unique_ptr<Guard> guard;
  std::unique_ptr<Store> store;
  std::unique_ptr<BlobVault> blobs;
  std::unique_ptr<DeltaWorkshop> deltas;
  std::unique_ptr<TrustPublisher> trust;
  std::unique_ptr<Director> director;
  std::unique_ptr<Enrolment> enrolment;
  std::unique_ptr<DeviceGateway> gateway;
  ChangeHub changes;
  std::unique_ptr<RolloutEngine> rollouts;
  std::unique_ptr<ServiceContext> context;
  std::unique_ptr<EnrolmentServiceImpl> enrolment_service;
  std::unique_ptr<DeviceServiceImpl> device_service;
  std::unique_ptr<FleetServiceImpl> fleet_service;
  std::unique_ptr<boost::asio::thread_pool> pool;
  std::unique_ptr<grpc::Server> server;
  // What gRPC reads the server's key from.
  UniqueFd server_key;
  int port = 0;
};

Result<void> Controller::Impl::open() {
  if (auto made = fs.create_directories(settings.state_directory(), 0700); !made) {
    return made.error().with_context("state.directory");
  }
  if (fs.exists(settings.state_directory() / kRestoreMark)) {
    return Error{Error::Code::kFailedPrecondition,
                 settings.state_directory().string() +
                     " is a restore that was cut off: remove it and restore again"};
  }
  auto locked = lock_state(fs, settings);
  if (!locked) {
    return locked.error();
  }
  lock = std::move(*locked);
  auto own = open_identity(fs, clock, settings);
  if (!own) {
    return own.error();
  }
  identity = std::move(*own);
  auto opened_policy = open_policy(fs, settings);
  if (!opened_policy) {
    return opened_policy.error();
  }
  policy = std::move(*opened_policy);

  security::AuditOptions options;
  options.directory = settings.state_directory() / "audit";
  options.origin = "skerry.audit/controller." + settings.identity().trust_domain;
  options.device_id = "controller";
  options.tenant = settings.identity().tenant;
  auto opened_audit = security::AuditLog::open(fs, options, identity.audit_key, clock);
  if (!opened_audit) {
    return opened_audit.error().with_context("the audit log");
  }
  audit = std::move(*opened_audit);
  guard = std::make_unique<Guard>(*policy,
                                  *audit,
                                  *identity.authorities,
                                  clock,
                                  settings.identity().trust_domain,
                                  settings.identity().tenant,
                                  log);

  auto opened_store = Store::open(settings.store().backend, settings.store().connection);
  if (!opened_store) {
    return opened_store.error();
  }
  store = std::move(*opened_store);
  auto vault = BlobVault::open(fs, settings.state_directory() / "blobs", settings.blobs().max_size);
  if (!vault) {
    return vault.error();
  }
  blobs = std::move(*vault);
  auto workshop = DeltaWorkshop::open(
      fs, settings.state_directory() / "deltas", *blobs, settings.deltas().cache, log);
  if (!workshop) {
    return workshop.error();
  }
  deltas = std::move(*workshop);
  trust = std::make_unique<TrustPublisher>(*store, identity.online_key, clock, settings.trust());
  director = std::make_unique<Director>(*store, identity.director_key, clock, settings.trust());
  enrolment = std::make_unique<Enrolment>(
      *store, *identity.authorities, clock, random, settings.identity(), settings.enrolment());
  gateway = std::make_unique<DeviceGateway>(*store, clock, log, settings.rollout().offline_after);
  rollouts = std::make_unique<RolloutEngine>(*store, *gateway, changes, *guard, clock, random, log);
  return {};
}

Result<void> Controller::Impl::listen() {
  pool = std::make_unique<boost::asio::thread_pool>(kPoolThreads);
  context.reset(new ServiceContext{settings,
                                   identity,
                                   *store,
                                   *blobs,
                                   *deltas,
                                   *trust,
                                   *director,
                                   *enrolment,
                                   *gateway,
                                   *rollouts,
                                   changes,
                                   *guard,
                                   clock,
                                   random,
                                   fs,
                                   log,
                                   pool->get_executor()});
  enrolment_service = std::make_unique<EnrolmentServiceImpl>(*context);
  device_service = std::make_unique<DeviceServiceImpl>(*context);
  fleet_service = std::make_unique<FleetServiceImpl>(*context);

  auto key = key_in_memory(identity.server_key_pem);
  if (!key) {
    return key.error();
  }
  server_key = std::move(*key);
  const auto credentials =
      server_credentials(identity, "/proc/self/fd/" + std::to_string(server_key.get()));
  grpc::ServerBuilder builder;
  builder.AddListeningPort(settings.server().listen, credentials, &port);
  builder.SetMaxReceiveMessageSize(kMaxMessage);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kFrameSize);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kLookahead);
  // A device behind NAT may ping to keep its way open; dead connections are noticed.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.RegisterService(enrolment_service.get());
  builder.RegisterService(device_service.get());
  builder.RegisterService(fleet_service.get());
  server = builder.BuildAndStart();
  if (!server || port == 0) {
    return Error{Error::Code::kUnavailable,
                 "cannot listen on " + settings.server().listen +
                     " (server.listen): is another program using the port?"};
  }
  return {};
}

void Controller::Impl::tick(int count) {
  rollouts->poke();
  if (auto sealed = audit->tick(); !sealed) {
    log.error("audit.checkpoint_failed", sealed.error());
  }
  const auto now = clock.wall_now().time_since_epoch().count();
  if (count % kTicksPerTouch == 0) {
    if (auto touched = store->touch_devices(gateway->connected_devices(), now); !touched) {
      log.error("store.touch_failed", touched.error());
    }
  }
  if (count % kTicksPerHousekeeping == 0) {
    const auto certificates = refresh_certificates(
        fs, clock.wall_now(), settings, *identity.authorities, identity.server_key->public_key());
    if (!certificates) {
      log.error("certificates.refresh_failed", certificates.error());
    } else if (certificates->changed) {
      log.info("certificates.server_renewed", {{"file", certificates->path.string()}});
    }
    if (auto dropped = store->drop_telemetry(now - settings.telemetry().retention.count());
        !dropped) {
      log.error("telemetry.retention_failed", dropped.error());
    }
    const auto refreshed = trust->refresh(settings.identity().tenant);
    if (!refreshed) {
      log.error("trust.refresh_failed", refreshed.error());
    } else if (*refreshed) {
      log.info("trust.refreshed");
      gateway->announce_metadata();
    }
  }
}

Controller::Controller(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Controller::~Controller() {
  stop();
}

Result<std::unique_ptr<Controller>> Controller::start(
    Settings settings, FileSystem& fs, const Clock& clock, Random& random, Log log) {
  auto impl = std::make_unique<Impl>(std::move(settings), fs, clock, random, std::move(log));
  if (auto opened = impl->open(); !opened) {
    return opened.error();
  }
  if (auto listening = impl->listen(); !listening) {
    return listening.error();
  }
  return std::unique_ptr<Controller>{new Controller{std::move(impl)}};
}

int Controller::port() const {
  return impl_->port;
}

bool Controller::first_start() const {
  return impl_->identity.first_start;
}

Task<void> Controller::run() {
  for (int count = 0;; ++count) {
    auto work = [impl = impl_.get(), count] { impl->tick(count); };
    boost::asio::any_io_executor pool = impl_->pool->get_executor();
    co_await async::offload(pool, std::move(work));
    co_await async::sleep_for(kTick);
  }
}

Result<void> Controller::reload_policy() {
  const auto text = read_file(impl_->fs, impl_->settings.policy_file(), kMaxPolicy);
  if (!text) {
    return text.error();
  }
  const auto taken = impl_->policy->replace(*text);
  if (!taken) {
    return taken.error().with_context(impl_->settings.policy_file().string());
  }
  security::AuditEvent event;
  event.audit_class = security::AuditClass::kPolicyChange;
  event.action = "policy.reload";
  event.actor = security::Principal::system("controller");
  event.authn_method = "internal";
  event.details =
      Json::Object{{"version", (*taken)->version()}, {"digest", (*taken)->digest().to_string()}};
  impl_->guard->record(event);
  return {};
}

void Controller::stop() {
  if (!impl_->server) {
    return;
  }
  impl_->gateway->close_all(
      Error{Error::Code::kUnavailable, "the controller is stopping; try again later"});
  impl_->server->Shutdown(std::chrono::system_clock::now() + impl_->settings.server().drain);
  impl_->server->Wait();
  // Calls are over; what they left on the pool still uses the services.
  impl_->pool->join();
  impl_->server.reset();
  if (auto sealed = impl_->audit->flush(); !sealed) {
    impl_->log.error("audit.checkpoint_failed", sealed.error());
  }
}

}  // namespace skerry::controller
