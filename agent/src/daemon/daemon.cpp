#include "skerry/agent/daemon.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <pwd.h>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include "skerry/agent/administration.hpp"
#include "skerry/agent/bundle_import.hpp"
#include "skerry/agent/grpc_front.hpp"
#include "skerry/agent/http_front.hpp"
#include "skerry/agent/import_administration.hpp"
#include "skerry/agent/inference.hpp"
#include "skerry/agent/installer.hpp"
#include "skerry/agent/maintenance.hpp"
#include "skerry/agent/model_imports.hpp"
#include "skerry/agent/slot_manager.hpp"
#include "skerry/agent/sync_client.hpp"
#include "skerry/agent/telemetry.hpp"
#include "skerry/agent/upstreams.hpp"
#include "skerry/async/run_until_first_exit.hpp"
#include "skerry/async/sleep.hpp"

#include "decommission.hpp"
#include "memory_trim.hpp"
#include "models/prefix_gauges.hpp"
#include "models/prefix_shelf.hpp"
#include "notify.hpp"
#include "peering.hpp"
#include "stored_state.hpp"
#include "sync/identity.hpp"
#include "upstream_settings.hpp"

namespace skerry::agent {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kDiskThreads = 2;
constexpr std::size_t kTransferThreads = 4;
constexpr std::chrono::seconds kDrainGrace{10};
constexpr std::chrono::milliseconds kDrainStep{20};
constexpr std::chrono::seconds kTrimAfter{2};
constexpr double kDefaultMemoryShare = 0.8;

// What permits call this gateway: the id of its enrolment, or its own name before that.
std::string device_name(Core& core) {
  Result<std::optional<sync::DeviceIdentity>> identity =
      sync::load_identity(core.fs, core.settings->state_dir() / "identity.json");
  return identity && *identity ? (*identity)->device_id : core.settings->device().name;
}

std::uint64_t memory_budget(FileSystem& fs, const Settings& settings) {
  if (settings.memory().budget.bytes > 0) {
    return settings.memory().budget.bytes;
  }
  Result<registry::DeviceProfile> device = registry::detect_hardware(fs, settings.state_dir());
  if (!device || device->memory_total == 0) {
    return 1ULL << 30U;
  }
  return static_cast<std::uint64_t>(static_cast<double>(device->memory_total) *
                                    kDefaultMemoryShare);
}

runtime::SupervisorOptions supervisor_options(const Settings& settings) {
  runtime::SupervisorOptions options;
  options.worker = settings.worker();
  options.plugin_dir = settings.plugin_dir();
  options.engine_dir = settings.runtime().engine_dir;
  options.niceness = static_cast<int>(settings.runtime().niceness);
  options.cgroup = settings.runtime().cgroup;
  std::array<char, 16384> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (!settings.runtime().worker_user.empty() &&
      ::getpwnam_r(
          settings.runtime().worker_user.c_str(), &entry, buffer.data(), buffer.size(), &found) ==
          0 &&
      found != nullptr) {
    options.worker_uid = found->pw_uid;
    options.worker_gid = found->pw_gid;
  }
  return options;
}

// Deletes what is left of a decommissioned gateway; a success for systemd, which shall not start it
// again.
Result<void> end_life(FileSystem& fs, const std::filesystem::path& root, const Log& log) {
  if (life_stage(fs, root) == LifeStage::kEnding) {
    // Nobody else may be at work here.
    Result<StateDir> dir = StateDir::open(fs, root);
    if (!dir) {
      return dir.error();
    }
    if (Result<void> done = finish_decommission(fs, root); !done) {
      return done.error().with_context("decommissioning; it goes on at the next start");
    }
  }
  log.warning("daemon.decommissioned",
              {{"state_dir", root.string()},
               {"hint", "remove decommissioned.json to set this gateway up anew"}});
  notify_ready();
  notify_stopping();
  return {};
}

// The parts, in dependency order: each refers only to those above it.
class Daemon {
 public:
  Daemon(Core& core,
         StoredState& state,
         std::unique_ptr<upstream::Upstreams> upstreams,
         std::filesystem::path config,
         const Environment& environment,
         BootTime began)
      : core_(core),
        state_(state),
        config_(std::move(config)),
        environment_(environment),
        began_(began),
        started_at_(core.clock.wall_now()),
        audit_(core, *state.audit),
        break_glass_(core, audit_, *state.dir / "break-glass.json"),
        security_(
            core, audit_, *state.catalogue, *state.time, [&core] { return device_name(core); }),
        access_(core, *state.policy, audit_, metrics_, break_glass_, security_),
        shelf_(core, *state.store, state.store_key.get()),
        supervisor_(runtime::Supervisor::make(core.control,
                                              worker_options(supervisor_options(*core.settings)),
                                              core.clock,
                                              core.log)),
        upstreams_(std::move(upstreams)),
        budget_(memory_budget(core.fs, *core.settings)),
        host_(core, *state.catalogue, *state.store, *supervisor_, budget_),
        inference_(core, access_, audit_, metrics_, host_),
        peering_(core, *state.time, *state.catalogue, *state.store),
        installer_(core, *state.catalogue, *state.store, *state.time, budget_),
        slots_(core, installer_, host_, audit_),
        maintenance_(core,
                     Maintenance::Parts{audit_,
                                        slots_,
                                        host_,
                                        *state.catalogue,
                                        *state.store,
                                        peering_.sources(),
                                        [this] { return inference_.running() > 0; }}),
        bundles_(core,
                 BundleImport::Parts{access_,
                                     audit_,
                                     installer_,
                                     slots_,
                                     *state.catalogue,
                                     *state.store,
                                     [this] { return device_names(); }}),
        administration_(
            core,
            Administration::Parts{
                access_,
                audit_,
                slots_,
                host_,
                maintenance_,
                bundles_,
                *state.catalogue,
                *state.store,
                *state.tokens,
                *state.dir / "audit",
                state.audit_key->public_key(),
                [this] { return sync_.state().device_id; },
                [this](const std::string& order) { sync_.end(order); },
                [this](StickReportCursor& cursor) { return sync_.stick_report(cursor); }}),
        imports_(core, *state.catalogue, *state.store, installer_),
        import_administration_(core, access_, audit_, slots_, imports_),
        sync_(core, installer_, slots_, *state.outbox, *state.audit, host_),
        telemetry_(core, metrics_, *state.outbox, [this] { return gauges(); }),
        grpc_(core,
              inference_,
              access_,
              host_,
              administration_,
              import_administration_,
              status_sources()),
        http_(core,
              inference_,
              access_,
              audit_,
              host_,
              slots_,
              import_administration_,
              *state.tokens,
              metrics_,
              [this] { return gauges(); }) {
    host_.use_upstreams(*upstreams_);
    installer_.set_security(&security_);
    installer_.use_quantizer(supervisor_options(*core_.settings));
    host_.set_gate([this](const ServedModel& model) {
      return security_.may_run(*model.manifest, model.variant.name);
    });
    security_.on_change([this] { slots_.enforce(); });
    inference_.on_served(
        [this](const std::string& slot, const Digest& weights) { slots_.served(slot, weights); });
    inference_.on_absent(
        [this](const registry::ModelReference& model) { return imports_.why_absent(model); });
    installer_.on_check_vouched([this](const Digest& manifest) -> Result<void> {
      const Result<CatalogueEntry> entry = imports_.find(manifest.to_string());
      return entry ? imports_.check_vouched(*entry) : entry.error();
    });
    host_.on_refresh([this] {
      grpc_.update_health();
      shelf_.models_changed();
    });
    installer_.use_sources(peering_.sources());
    sync_.on_identity([this](const PeerIdentity& identity) { peering_.become(identity); });
    slots_.on_report([this](const SlotView& view) { sync_.report(view); });
    audit_.on_checkpoint([this](const security::Checkpoint& checkpoint, const std::string& note) {
      sync_.audit_checkpoint(checkpoint, note);
    });
  }

  // Until a part fails or a signal comes.
  Task<void> run() {
    Result<void> started = co_await start();
    if (!started) {
      failure_ = started.error();
    } else {
      std::vector<Task<void>> parts;
      parts.push_back(run_signals([this] { reload(); }, core_.log));
      parts.push_back(run_watchdog());
      parts.push_back(audit_.run());
      parts.push_back(break_glass_.run());
      parts.push_back(host_.run());
      parts.push_back(host_.preload());
      parts.push_back(upstreams_->run());
      parts.push_back(grpc_.run());
      parts.push_back(http_.run());
      parts.push_back(sync_.run());
      parts.push_back(telemetry_.run());
      parts.push_back(maintenance_.run());
      parts.push_back(bundles_.watch());
      try {
        co_await async::run_until_first_exit(std::move(parts));
      } catch (const std::exception& error) {
        failure_ = Error(Error::Code::kInternal, error.what());
      }
    }
    co_await stop();
  }

  [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }

 private:
  Task<Result<void>> start() {
    core_.tasks.spawn("prefixes.open", shelf_.open());
    Result<void> recovered = co_await break_glass_.recover();
    if (!recovered) {
      co_return recovered.error();
    }
    const PolicyConfig& policy = core_.settings->policy();
    Result<void> loaded = load_policy_file(core_.fs, *state_.policy, policy.file);
    if (!loaded) {
      // The last good policy stays in force; without one nothing but the refusal is safe.
      if (state_.policy->current()->version() == 0 && !security_.policy()) {
        co_return loaded.error();
      }
      core_.log.error("policy.file_refused", loaded.error());
    }
    Result<void> trusted = trust_roots();
    if (!trusted) {
      co_return trusted.error();
    }
    if (!core_.settings->trust().offline_root_file.empty()) {
      Result<std::string> root = read_file(core_.fs,
                                           core_.settings->trust().offline_root_file,
                                           security::tuf::MetadataLimits::kRootBytes);
      if (!root) {
        co_return root.error().with_context("trust.offline_root_file");
      }
      Result<void> pinned = bundles_.pin_root(*root);
      if (!pinned) {
        co_return pinned.error().with_context("trust.offline_root_file");
      }
    }
    Result<void> refreshed = co_await host_.refresh();
    if (!refreshed) {
      co_return refreshed.error();
    }
    Result<void> serving = grpc_.start();
    if (!serving) {
      co_return serving.error();
    }
    Result<void> listening = http_.start();
    if (!listening) {
      co_return listening.error();
    }
    Result<void> restored = co_await slots_.restore();
    if (!restored) {
      co_return restored.error();
    }
    slots_.enforce();
    ready_ = std::chrono::duration_cast<std::chrono::microseconds>(core_.clock.boot_now() - began_);
    const registry::RecoveryReport& recovery = state_.store->recovery();
    core_.log.info("daemon.ready",
                   {{"version", SKERRY_VERSION},
                    {"ready_us", ready_.count()},
                    {"state_dir", core_.settings->state_dir().string()},
                    {"memory_budget", budget_},
                    {"blobs", recovery.blobs},
                    {"resumable", recovery.staged}});
    notify_ready();
    core_.tasks.spawn("memory.trim", trim_later());
    co_return Result<void>();
  }

  // The first roots of the repositories, at first start; later they are not replaced from here.
  Result<void> trust_roots() {
    const TrustConfig& trust = core_.settings->trust();
    if (!trust.root_file.empty()) {
      Result<void> trusted = trust_root(trust.root_file, [this](const std::string& root) {
        return installer_.bootstrap_trust(root);
      });
      if (!trusted) {
        return trusted.error().with_context("trust.root_file");
      }
    }
    if (!trust.director_root_file.empty()) {
      Result<void> trusted = trust_root(trust.director_root_file, [this](const std::string& root) {
        return installer_.director().pin(root);
      });
      if (!trusted) {
        return trusted.error().with_context("trust.director_root_file");
      }
    }
    return {};
  }

  template <class Trust>
  Result<void> trust_root(const std::string& file, const Trust& trust) {
    Result<std::string> root = read_file(core_.fs, file, security::tuf::MetadataLimits::kRootBytes);
    return root ? trust(*root) : root.error();
  }

  // Once starting is over and whoever waited for it was answered.
  Task<void> trim_later() {
    co_await async::sleep_for(kTrimAfter);
    trim_memory(core_.log);
  }

  Task<void> stop() {
    notify_stopping();
    maintenance_.stop();
    // No new calls from here on; those that run may end, then they are cancelled.
    core_.tasks.spawn("grpc.stop", grpc_.stop(kDrainGrace));
    const BootTime deadline = core_.clock.boot_now() + kDrainGrace;
    do {
      co_await async::sleep_for(kDrainStep);
    } while (inference_.running() > 0 && core_.clock.boot_now() < deadline);
    peering_.stop();
    co_await sync_.close();
    co_await slots_.stop();
    co_await http_.stop();
    co_await upstreams_->stop();
    co_await supervisor_->stop(std::chrono::milliseconds(0));
    co_await core_.tasks.stop();
    if (Result<void> closed = peering_.link().close(); !closed) {
      core_.log.error("link.budget_not_written", closed.error());
    }
    co_await audit_.flush();
    core_.log.info("daemon.stopped");
  }

  void reload() {
    notify_reloading(
        static_cast<std::uint64_t>(core_.clock.boot_now() / std::chrono::microseconds{1}));
    Result<Config> config = load_config(core_.fs, config_);
    if (!config) {
      core_.log.error("config.reload_refused", config.error());
    } else if (Result<Settings> settings = finalize(*std::move(config), environment_); !settings) {
      core_.log.error("config.reload_refused", settings.error());
    } else {
      for (const std::string& option : needs_restart(*core_.settings, *settings)) {
        core_.log.warning("config.needs_restart", {{"option", option}});
      }
      core_.settings = std::make_shared<const Settings>(*std::move(settings));
      core_.log.set_threshold(core_.settings->log_level());
      if (Result<void> loaded =
              load_policy_file(core_.fs, *state_.policy, core_.settings->policy().file);
          !loaded) {
        core_.log.error("policy.file_refused", loaded.error());
      }
      core_.log.info("config.reloaded", {{"policy_version", state_.policy->current()->version()}});
    }
    notify_ready();
  }

  runtime::SupervisorOptions worker_options(runtime::SupervisorOptions options) {
    options.prefix_shelf = &shelf_;
    options.on_exit = [this](const runtime::WorkerExit& exit) {
      if (!exit.clean) {
        metrics_.count_worker_exit();
      }
      slots_.worker_exited(exit);
    };
    return options;
  }

  // What a bundle may call this device.
  [[nodiscard]] std::vector<std::string> device_names() const {
    return {core_.settings->device().name,
            sync_.state().device_id,
            state_.audit_key->public_key().key_id().substr(0, 16)};
  }

  [[nodiscard]] Gauges gauges() {
    Gauges gauges;
    gauges.models_loaded = host_.loaded().size();
    for (const ModelHost::Loaded& loaded : host_.loaded()) {
      const runtime::WorkerStatus worker = loaded.model->status();
      if (worker.threads > 0) {
        gauges.workers.push_back({.model = loaded.served->name(),
                                  .threads = worker.threads,
                                  .most_threads = worker.most_threads,
                                  .other_cores = worker.other_cores});
      }
    }
    gauges.prompts = pinned_prompt_gauges(host_);
    for (upstream::EndpointView& server : upstreams_->view()) {
      gauges.upstreams.push_back({.endpoint = std::move(server.name),
                                  .tier = std::move(server.tier),
                                  .up = server.state == "up",
                                  .running = server.in_flight,
                                  .answered = server.answered,
                                  .failed = server.failed});
    }
    gauges.prefix_disk = prefix_disk_gauges(shelf_.counts());
    gauges.model_memory = host_.used();
    gauges.memory_budget = budget_;
    const ProcessUse use = process_use();
    gauges.resident = use.resident;
    gauges.cpu_seconds = use.cpu_seconds;
    gauges.audit_records = state_.audit->status().size;
    if (Result<OutboxStatus> outbox = state_.outbox->status(); outbox) {
      gauges.outbox_records = outbox->records;
      gauges.outbox_bytes = outbox->bytes;
    }
    peering_.fill(gauges);
    gauges.sync_connected = sync_.state().state == "connected";
    gauges.break_glass = break_glass_.view().has_value();
    gauges.break_glass_openings = break_glass_.openings();
    gauges.break_glass_uses = break_glass_.uses();
    for (const ServedModelPtr& model : host_.served()) {
      gauges.models_revoked +=
          security_.revocation_of(*model->manifest, model->variant.name).empty() ? 0U : 1U;
    }
    gauges.revocation_stops = security_.stops();
    return gauges;
  }

  StatusSources status_sources() {
    StatusSources sources;
    sources.started_at = started_at_;
    sources.ready = [this] { return ready_; };
    sources.sync = [this] { return sync_.state(); };
    sources.outbox = [this] { return state_.outbox->status().value_or(OutboxStatus{}); };
    sources.clock = [this] { return state_.time->state(); };
    sources.security = &security_;
    sources.link = [this] { return peering_.link().state(); };
    sources.served_to_peers = [this] { return peering_.served_bytes(); };
    sources.upstreams = [this] { return upstreams_->view(); };
    sources.prefix_disk = [this] { return prefix_disk_gauges(shelf_.counts()); };
    return sources;
  }

  Core& core_;
  StoredState& state_;
  std::filesystem::path config_;
  const Environment& environment_;
  BootTime began_;
  WallTime started_at_;
  std::chrono::microseconds ready_{0};
  std::optional<Error> failure_;

  Metrics metrics_;
  AuditWriter audit_;
  BreakGlass break_glass_;
  SecurityTargets security_;
  Access access_;
  DiskPrefixShelf shelf_;
  std::unique_ptr<runtime::Supervisor> supervisor_;
  std::unique_ptr<upstream::Upstreams> upstreams_;
  std::uint64_t budget_;
  ModelHost host_;
  Inference inference_;
  Peering peering_;
  Installer installer_;
  SlotManager slots_;
  Maintenance maintenance_;
  BundleImport bundles_;
  Administration administration_;
  ModelImports imports_;
  ImportAdministration import_administration_;
  SyncClient sync_;
  Telemetry telemetry_;
  GrpcFront grpc_;
  HttpFront http_;
};

}  // namespace

Result<void> run_daemon(const std::filesystem::path& config,
                        Settings settings,
                        const Environment& environment,
                        const Clock& clock,
                        BootTime began,
                        const Log& log) {
  SystemFileSystem fs;
  SystemRandom random;
  asio::io_context io{1};
  asio::thread_pool disk{kDiskThreads};
  std::optional<asio::thread_pool> transfer;
  async::TaskGroup tasks{io.get_executor(),
                         [&log](const std::string& task, const std::string& what) {
                           log.error("task.failed", {{"task", task}, {"error", what}});
                         }};
  Core core{io.get_executor(),
            disk.get_executor(),
            [&transfer]() -> asio::any_io_executor {
              if (!transfer) {
                transfer.emplace(kTransferThreads);
              }
              return transfer->get_executor();
            },
            clock,
            fs,
            random,
            log,
            std::make_shared<const Settings>(std::move(settings)),
            tasks};
  const std::filesystem::path root = core.settings->state_dir();
  if (life_stage(fs, root) != LifeStage::kAlive) {
    return end_life(fs, root, log);
  }
  {
    Result<StoredState> state = open_state(core);
    if (!state) {
      return state.error();
    }
    Result<std::unique_ptr<upstream::Upstreams>> upstreams = upstream::Upstreams::make(
        core.control, core.disk, upstream_options(core.settings->upstream()), clock, fs, log);
    if (!upstreams) {
      return upstreams.error();
    }
    Daemon daemon{core, *state, *std::move(upstreams), config, environment, began};
    std::exception_ptr thrown;
    asio::co_spawn(
        io, daemon.run(), [&thrown](const std::exception_ptr& error) { thrown = error; });
    io.run();
    if (transfer) {
      transfer->join();
    }
    disk.join();
    if (thrown) {
      try {
        std::rethrow_exception(thrown);
      } catch (const std::exception& error) {
        return Error{Error::Code::kInternal, error.what()};
      }
    }
    if (daemon.failure()) {
      return *daemon.failure();
    }
  }
  if (life_stage(fs, root) == LifeStage::kEnding) {
    return end_life(fs, root, log);
  }
  return {};
}

}  // namespace skerry::agent
