#include "stored_state.hpp"

#include <utility>

#include "skerry/agent/installer.hpp"
#include "skerry/common/file_system.hpp"

namespace skerry::agent {
namespace {

template <class T>
Result<void> keep(Result<T> result, T& out, std::string_view what) {
  if (!result) {
    return result.error().with_context(what);
  }
  out = *std::move(result);
  return {};
}

// The key that the configuration names, opened or, at the first start, made.
Result<registry::BlobStoreOptions> storage_options(Core& core, const StateDir& root) {
  const StorageConfig& storage = core.settings->storage();
  registry::BlobStoreOptions options;
  options.seal = storage.encrypts();
  if (storage.encryption_key.empty()) {
    return options;
  }
  Result<security::KeyUri> uri = security::KeyUri::parse(storage.encryption_key);
  if (!uri) {
    return uri.error().with_context("storage.encryption_key");
  }
  Result<std::shared_ptr<const registry::StoreKey>> key =
      registry::StoreKey::open_or_create(core.fs, root.path(), *uri);
  if (!key) {
    return key.error().with_context("storage.encryption_key");
  }
  options.key = *std::move(key);
  return options;
}

}  // namespace

Result<void> load_policy_file(FileSystem& fs,
                              security::PolicyStore& store,
                              const std::string& file) {
  if (file.empty()) {
    return {};
  }
  Result<std::string> document = read_file(fs, file, security::PolicyLimits::kBytes);
  if (!document) {
    return document.error().with_context("policy.file");
  }
  Result<std::shared_ptr<const security::Policy>> policy = store.replace(*document);
  if (!policy) {
    return policy.error().with_context(file);
  }
  return {};
}

Result<StoredState> open_state(Core& core) {
  StoredState state;
  const Settings& settings = *core.settings;
  Result<StateDir> dir = StateDir::open(core.fs, settings.state_dir());
  if (!dir) {
    return dir.error();
  }
  state.dir = *std::move(dir);
  const StateDir& root = *state.dir;
  Result<std::unique_ptr<security::Signer>> key =
      root.key(core.fs, "audit", security::KeyAlgorithm::kEd25519);
  if (!key) {
    return key.error().with_context("audit key");
  }
  state.audit_key = *std::move(key);
  if (auto done = keep(registry::Catalogue::open(root / "registry.db", core.clock),
                       state.catalogue,
                       "catalogue");
      !done) {
    return done.error();
  }
  Result<registry::BlobStoreOptions> storage = storage_options(core, root);
  if (!storage) {
    return storage.error();
  }
  state.store_key = storage->seal ? storage->key : nullptr;
  if (auto done = keep(
          registry::BlobStore::open(core.fs, *state.catalogue, core.clock, root.path(), *storage),
          state.store,
          "blob store");
      !done) {
    return done.error();
  }
  if (const std::uint64_t gone = state.store->recovery().unreadable; gone > 0) {
    core.log.warning("registry.unreadable_removed",
                     {{"blobs", gone}, {"why", "they were encrypted with a key that is lost"}});
  }
  if (auto done =
          keep(security::PolicyStore::open(core.fs, root / "policy.json"), state.policy, "policy");
      !done) {
    return done.error();
  }
  if (auto done =
          keep(security::TokenStore::open(core.fs, root / "tokens.json"), state.tokens, "tokens");
      !done) {
    return done.error();
  }
  const std::uint64_t floor = state.catalogue->floor(kTimeFloor).value_or(std::uint64_t{0});
  state.time = std::make_unique<DeviceTime>(
      core.clock,
      WallTime{std::chrono::milliseconds{static_cast<std::int64_t>(floor)}},
      kernel_clock_synchronised);
  security::AuditOptions audit;
  audit.directory = root / "audit";
  // The key names the log: it is there before enrolment gives the device an id.
  audit.device_id = state.audit_key->public_key().key_id().substr(0, 16);
  audit.origin = "skerry.audit/" + audit.device_id;
  audit.tenant = settings.device().tenant;
  audit.time_quality = [time = state.time.get()] { return time->now().quality; };
  audit.checkpoint_interval = settings.audit().checkpoint_interval;
  audit.checkpoint_records = static_cast<std::uint64_t>(settings.audit().checkpoint_records);
  if (auto done =
          keep(security::AuditLog::open(core.fs, std::move(audit), state.audit_key, core.clock),
               state.audit,
               "audit log");
      !done) {
    return done.error();
  }
  OutboxOptions outbox;
  outbox.max_bytes = settings.telemetry().outbox.bytes;
  if (auto done = keep(Outbox::open(root / "outbox.db", outbox), state.outbox, "outbox"); !done) {
    return done.error();
  }
  return state;
}

}  // namespace skerry::agent
