#include "skerry/security/tuf/client.hpp"

#include <set>
#include <utility>

#include "served_file.hpp"

namespace skerry::security::tuf {

namespace {

// The keys that speak for a role, by what they are.
std::set<Digest> key_set(const Root& root, Role role) {
  std::set<Digest> out;
  for (const std::string& keyid : root.keys_of(role).keyids) {
    if (const auto key = root.keys.usable.find(keyid); key != root.keys.usable.end()) {
      out.insert(key->second.spki_digest());
    }
  }
  return out;
}

bool rotated(const Root& before, const Root& after, Role role) {
  return key_set(before, role) != key_set(after, role);
}

}  // namespace

Client::Client(MetadataStore& store, Fetcher& fetcher, ClientOptions options)
    : store_(store), fetcher_(fetcher), options_(options) {}

Result<void> Client::bootstrap(std::string_view root) {
  auto stored = store_.load(Role::kRoot);
  if (!stored) {
    return std::move(stored).error();
  }
  if (*stored) {
    return {};
  }
  // Its time does not matter yet (TUF 5.2); its own signatures do.
  auto set = TrustedSet::create(root, TrustedTime{});
  if (!set) {
    return set.error().with_context("provisioned root");
  }
  return keep(Role::kRoot, set->root().content.version, set->root().bytes);
}

Result<void> Client::keep(const RoleName& role, std::int64_t version, const std::string& bytes) {
  MetadataUpdate update;
  update.files.push_back(MetadataUpdate::File{role, version, bytes});
  if (auto kept = store_.commit(update); !kept) {
    return kept.error().with_context("keeping " + role.text() + " metadata");
  }
  return {};
}

Result<TrustedSet> Client::open_trusted(TrustedTime time) {
  auto root = store_.load(Role::kRoot);
  if (!root) {
    return std::move(root).error();
  }
  if (!*root) {
    return Error{Error::Code::kFailedPrecondition,
                 "no root is trusted yet: this device was not provisioned"};
  }
  auto set = TrustedSet::create(**root, time);
  if (!set) {
    return set.error().with_context("stored root");
  }
  return set;
}

void Client::load_stored(TrustedSet& set) {
  // A stored file that is missing or no longer verifies is fetched anew; that is no failure.
  if (const auto bytes = store_.load(Role::kTimestamp); bytes && *bytes) {
    static_cast<void>(set.load_trusted_timestamp(**bytes).has_value());
  }
  if (const auto bytes = store_.load(Role::kSnapshot); bytes && *bytes) {
    static_cast<void>(set.load_trusted_snapshot(**bytes).has_value());
  }
  if (const auto bytes = store_.load(Role::kTargets); bytes && *bytes) {
    static_cast<void>(set.load_trusted_targets(**bytes).has_value());
  }
}

Result<void> Client::refresh_root(TrustedSet& set) {
  for (std::uint32_t i = 0; i < options_.max_root_rotations; ++i) {
    // TUF 5.3.3: the next root by number, until there is none.
    const std::int64_t next = set.root().content.version + 1;
    auto bytes = fetcher_.fetch(std::to_string(next) + ".root.json", MetadataLimits::kRootBytes);
    if (!bytes) {
      if (bytes.error().code() == Error::Code::kNotFound) {
        break;
      }
      return bytes.error().with_context("fetching root " + std::to_string(next));
    }
    const Root before = set.root().content;
    if (auto updated = set.update_root(*bytes); !updated) {
      return updated.error().with_context("root " + std::to_string(next));
    }
    // TUF 5.3.8: each root is kept. TUF 5.3.11: with it, what rotated keys signed goes.
    MetadataUpdate update;
    update.files.push_back(MetadataUpdate::File{Role::kRoot, next, set.root().bytes});
    if (rotated(before, set.root().content, Role::kTimestamp) ||
        rotated(before, set.root().content, Role::kSnapshot)) {
      update.removed = {Role::kTimestamp, Role::kSnapshot};
    }
    if (auto kept = store_.commit(update); !kept) {
      return kept.error().with_context("keeping root metadata");
    }
  }
  return set.finish_root();
}

Result<void> Client::refresh_timestamp(TrustedSet& set) {
  auto bytes = fetcher_.fetch("timestamp.json", MetadataLimits::kTimestampBytes);
  if (!bytes) {
    return bytes.error().with_context("fetching the timestamp");
  }
  auto fresh = set.update_timestamp(*bytes);
  if (!fresh) {
    return std::move(fresh).error();
  }
  return *fresh ? keep(Role::kTimestamp, set.timestamp()->content.version, set.timestamp()->bytes)
                : Result<void>{};
}

Result<void> Client::refresh_snapshot(TrustedSet& set) {
  if (set.snapshot_current()) {
    return {};
  }
  const MetaFile& meta = set.timestamp()->content.snapshot;
  auto bytes = fetcher_.fetch(served_name(set.root().content, Role::kSnapshot, meta.version),
                              limit_of(Role::kSnapshot, meta));
  if (!bytes) {
    return bytes.error().with_context("fetching the snapshot");
  }
  if (auto updated = set.update_snapshot(*bytes); !updated) {
    return updated;
  }
  return keep(Role::kSnapshot, set.snapshot()->content.version, set.snapshot()->bytes);
}

Result<bool> Client::refresh_targets(TrustedSet& set) {
  if (set.targets_current()) {
    return false;
  }
  const MetaFile& meta = *set.targets_meta();
  auto bytes = fetcher_.fetch(served_name(set.root().content, Role::kTargets, meta.version),
                              limit_of(Role::kTargets, meta));
  if (!bytes) {
    return bytes.error().with_context("fetching the targets");
  }
  if (auto updated = set.update_targets(*bytes); !updated) {
    return updated.error();
  }
  if (auto kept = keep(Role::kTargets, set.targets()->content.version, set.targets()->bytes);
      !kept) {
    return kept.error();
  }
  return true;
}

Result<RefreshOutcome> Client::refresh(TrustedTime time) {
  // TUF 5.1: `time` is fixed here for the whole update.
  auto set = open_trusted(time);
  if (!set) {
    return std::move(set).error();
  }
  if (options_.waive_online_expiry) {
    set->waive_online_expiry();
  }
  if (auto done = refresh_root(*set); !done) {
    return done.error();
  }
  load_stored(*set);
  if (auto done = refresh_timestamp(*set); !done) {
    return done.error();
  }
  if (auto done = refresh_snapshot(*set); !done) {
    return done.error();
  }
  auto changed = refresh_targets(*set);
  if (!changed) {
    return std::move(changed).error();
  }
  if (auto live = set->check_final_expiry(); !live) {
    return live.error();
  }
  RefreshOutcome outcome;
  outcome.root_version = set->root().content.version;
  outcome.timestamp_version = set->timestamp()->content.version;
  outcome.snapshot_version = set->snapshot()->content.version;
  outcome.targets_version = set->targets()->content.version;
  outcome.changed = *changed;
  outcome.warnings = set->warnings();
  outcome.issued = set->timestamp()->content.issued;
  trusted_ = std::move(*set);
  return outcome;
}

Result<void> Client::load(TrustedTime time) {
  // What was verified stays verified: expiry stops the acceptance of new metadata only.
  time.quality = TimeQuality::kUnattested;
  auto set = open_trusted(time);
  if (!set) {
    return std::move(set).error();
  }
  if (auto done = set->finish_root(); !done) {
    return done;
  }
  load_stored(*set);
  if (!set->targets_current()) {
    return Error{Error::Code::kFailedPrecondition,
                 "no complete set of verified metadata is stored; refresh it first"};
  }
  trusted_ = std::move(*set);
  return {};
}

const Targets* Client::targets() const {
  return trusted_ && trusted_->targets() != nullptr ? &trusted_->targets()->content : nullptr;
}

bool Client::consistent_snapshot() const {
  return trusted_ && trusted_->root().content.consistent_snapshot;
}

const TargetFile* Client::find_target(std::string_view path) const {
  const Targets* all = targets();
  if (all == nullptr) {
    return nullptr;
  }
  const auto it = all->targets.find(path);
  return it == all->targets.end() ? nullptr : &it->second;
}

DirectoryFetcher::DirectoryFetcher(FileSystem& fs, std::filesystem::path directory)
    : fs_(fs), directory_(std::move(directory)) {}

Result<std::string> DirectoryFetcher::fetch(std::string_view name, std::size_t limit) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string_view::npos) {
    return Error{Error::Code::kInvalidArgument,
                 "'" + std::string{name} + "' is no metadata file name"};
  }
  return read_file(fs_, directory_ / name, limit);
}

}  // namespace skerry::security::tuf
