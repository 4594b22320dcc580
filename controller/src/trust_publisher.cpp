#include "skerry/controller/trust_publisher.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "skerry/common/digest.hpp"
#include "skerry/common/json.hpp"
#include "skerry/security/tuf/repository.hpp"
#include "skerry/security/tuf/trusted_set.hpp"

namespace skerry::controller {
namespace {

namespace tuf = security::tuf;

constexpr std::string_view kSpecVersion = "1.0.34";

struct ServedName {
  std::int64_t version = 0;
  std::string role;
};

// "<n>.root.json" or "<n>.targets.json", n without leading zeros.
Result<ServedName> parse_upload_name(const std::string& name) {
  ServedName out;
  const auto* end = name.data() + name.size();
  const auto [rest, ec] = std::from_chars(name.data(), end, out.version);
  const std::string_view tail{rest, static_cast<std::size_t>(end - rest)};
  if (ec == std::errc{} && out.version > 0 && name.front() != '0' && name.front() != '+') {
    for (const std::string_view role : {"root", "targets"}) {
      if (tail == "." + std::string{role} + ".json") {
        out.role = role;
        return out;
      }
    }
  }
  return Error{Error::Code::kInvalidArgument,
               "\"" + name.substr(0, 80) +
                   "\" cannot be published: only <n>.root.json and <n>.targets.json are; snapshot "
                   "and timestamp are made here"};
}

std::string served_name(std::string_view role, std::int64_t version) {
  return role == "timestamp" ? "timestamp.json"
                             : std::to_string(version) + "." + std::string{role} + ".json";
}

MetadataRecord record_of(std::string_view role, std::int64_t version, std::string content) {
  return {std::string{TrustPublisher::kImage},
          served_name(role, version),
          std::string{role},
          version,
          std::move(content)};
}

Json meta_entry(const std::string& content, std::int64_t version) {
  return Json::Object{{"hashes", Json::Object{{"sha256", Digest::of(content).hex()}}},
                      {"length", static_cast<std::int64_t>(content.size())},
                      {"version", version}};
}

Result<std::string> sign_role(Json::Object signed_part,
                              std::int64_t version,
                              WallTime now,
                              std::chrono::milliseconds lifetime,
                              const security::Signer& key) {
  signed_part["spec_version"] = std::string{kSpecVersion};
  signed_part["version"] = version;
  signed_part["expires"] = to_rfc3339(now + lifetime);
  signed_part["x-skerry-issued"] = to_rfc3339(now);
  const Json envelope =
      Json::Object{{"signatures", Json::Array{}}, {"signed", std::move(signed_part)}};
  return tuf::sign_metadata(envelope.dump(), key);
}

}  // namespace

// What the store holds for a tenant.
struct TrustPublisher::Current {
  std::vector<MetadataRecord> roots;
  std::optional<MetadataRecord> targets;
  std::optional<MetadataRecord> snapshot;
  std::optional<MetadataRecord> timestamp;

  [[nodiscard]] PublishedVersions versions() const {
    return {roots.empty() ? 0 : roots.back().version,
            targets ? targets->version : 0,
            snapshot ? snapshot->version : 0,
            timestamp ? timestamp->version : 0};
  }
};

TrustPublisher::TrustPublisher(Store& store,
                               std::shared_ptr<const security::Signer> online_key,
                               const Clock& clock,
                               TrustConfig config)
    : store_(store), online_key_(std::move(online_key)), clock_(clock), config_(config) {}

std::string TrustPublisher::online_key() const {
  const auto canonical = online_key_->public_key().to_tuf_json().canonical();
  return canonical ? *canonical : std::string{};
}

Result<TrustPublisher::Current> TrustPublisher::load(const std::string& tenant) {
  auto files = store_.current_metadata(tenant, std::string{kImage});
  if (!files) {
    return files.error();
  }
  Current current;
  for (auto& file : *files) {
    if (file.role == "root") {
      current.roots.push_back(std::move(file));
    } else if (file.role == "targets") {
      current.targets = std::move(file);
    } else if (file.role == "snapshot") {
      current.snapshot = std::move(file);
    } else if (file.role == "timestamp") {
      current.timestamp = std::move(file);
    }
  }
  std::sort(current.roots.begin(), current.roots.end(), [](const auto& a, const auto& b) {
    return a.version < b.version;
  });
  return current;
}

Result<std::string> TrustPublisher::make_snapshot(std::int64_t version,
                                                  const std::string& targets,
                                                  std::int64_t targets_version) const {
  Json::Object part{{"_type", "snapshot"},
                    {"meta", Json::Object{{"targets.json", meta_entry(targets, targets_version)}}}};
  return sign_role(
      std::move(part), version, clock_.wall_now(), config_.snapshot_lifetime, *online_key_);
}

Result<std::string> TrustPublisher::make_timestamp(std::int64_t version,
                                                   const std::string& snapshot,
                                                   std::int64_t snapshot_version) const {
  Json::Object part{
      {"_type", "timestamp"},
      {"meta", Json::Object{{"snapshot.json", meta_entry(snapshot, snapshot_version)}}}};
  return sign_role(
      std::move(part), version, clock_.wall_now(), config_.timestamp_lifetime, *online_key_);
}

// Every model that the targets list must have been staged with these very bytes, or a device would
// be told of something that nobody can serve.
Result<std::vector<std::string>> TrustPublisher::check_targets(const std::string& tenant,
                                                               const std::string& bytes) {
  const auto targets = tuf::parse_targets(bytes);
  if (!targets) {
    return targets.error();
  }
  std::vector<std::string> published;
  for (const auto& [path, target] : targets->content.targets) {
    if (!path.starts_with("models/")) {
      continue;
    }
    const auto staged = store_.find_manifest(tenant, path);
    if (!staged) {
      return staged.error();
    }
    if (!*staged) {
      return Error{Error::Code::kFailedPrecondition,
                   "the target " + path + " was not staged: push it first"};
    }
    const ManifestRecord& manifest = **staged;
    if (auto matches = target.check(manifest.content); !matches) {
      return matches.error().with_context("the target " + path +
                                          " is not the manifest that was staged");
    }
    if (target.release_counter() != manifest.release_counter) {
      return Error{Error::Code::kMetadataMismatch,
                   "the target " + path + " has release counter " +
                       std::to_string(target.release_counter()) + ", its manifest " +
                       std::to_string(manifest.release_counter)};
    }
    if (!manifest.published) {
      published.push_back(path);
    }
  }
  return published;
}

Result<PublishedVersions> TrustPublisher::publish(const std::string& tenant,
                                                  std::vector<NamedBytes> files) {
  const std::lock_guard lock{mutex_};
  if (files.empty() || files.size() > kMaxFiles) {
    return Error{Error::Code::kInvalidArgument, "publish 1 to 64 files at a time"};
  }
  std::map<std::int64_t, std::string> roots;
  std::map<std::int64_t, std::string> uploaded_targets;
  for (auto& file : files) {
    const auto name = parse_upload_name(file.name);
    if (!name) {
      return name.error();
    }
    auto& into = name->role == "root" ? roots : uploaded_targets;
    into[name->version] = std::move(file.content);
  }
  auto current = load(tenant);
  if (!current) {
    return current.error();
  }

  // As a device: start from the newest root it knows, or from the first one it is given.
  std::vector<MetadataRecord> stored;
  if (current->roots.empty()) {
    if (roots.empty()) {
      return Error{Error::Code::kFailedPrecondition,
                   "nothing is published yet: the first publication needs 1.root.json"};
    }
    stored.push_back(record_of("root", roots.begin()->first, roots.begin()->second));
    roots.erase(roots.begin());
  }
  const std::string& first_root =
      current->roots.empty() ? stored.front().content : current->roots.back().content;
  const WallTime now = clock_.wall_now();
  auto set = tuf::TrustedSet::create(first_root, {now, security::TimeQuality::kSynchronised});
  if (!set) {
    return set.error().with_context("the root");
  }
  for (auto& [version, content] : roots) {
    const auto known = std::find_if(current->roots.begin(),
                                    current->roots.end(),
                                    [v = version](const auto& root) { return root.version == v; });
    if (known != current->roots.end()) {
      if (known->content != content) {
        return Error{
            Error::Code::kMetadataMismatch,
            "root version " + std::to_string(version) + " is published with other content"};
      }
      continue;
    }
    if (auto updated = set->update_root(content); !updated) {
      return updated.error().with_context(served_name("root", version));
    }
    stored.push_back(record_of("root", version, std::move(content)));
  }
  if (auto finished = set->finish_root(); !finished) {
    return finished.error().with_context("the root");
  }

  // What was published before; what no longer counts under a new root is dropped by the set.
  if (current->timestamp && set->load_trusted_timestamp(current->timestamp->content)) {
    if (current->snapshot && set->load_trusted_snapshot(current->snapshot->content) &&
        current->targets) {
      static_cast<void>(set->load_trusted_targets(current->targets->content).has_value());
    }
  }

  std::int64_t targets_version = current->targets ? current->targets->version : 0;
  std::string targets = current->targets ? current->targets->content : std::string{};
  std::vector<std::string> published;
  if (!uploaded_targets.empty()) {
    // Only the newest matters: devices take no targets in between.
    const auto& [version, content] = *uploaded_targets.rbegin();
    if (version < targets_version || (version == targets_version && content != targets)) {
      return Error{Error::Code::kRollback,
                   "targets version " + std::to_string(targets_version) +
                       " is published; the next one must have a higher version than " +
                       std::to_string(version)};
    }
    auto checked = check_targets(tenant, content);
    if (!checked) {
      return checked.error();
    }
    published = std::move(*checked);
    targets_version = version;
    targets = content;
    stored.push_back(record_of("targets", version, content));
  }
  if (targets.empty()) {
    return Error{Error::Code::kFailedPrecondition,
                 "nothing is published yet: the first publication needs <n>.targets.json too"};
  }

  PublishedVersions out{set->root().content.version,
                        targets_version,
                        (current->snapshot ? current->snapshot->version : 0) + 1,
                        (current->timestamp ? current->timestamp->version : 0) + 1};
  auto snapshot = make_snapshot(out.snapshot, targets, targets_version);
  if (!snapshot) {
    return snapshot.error().with_context("making the snapshot");
  }
  auto timestamp = make_timestamp(out.timestamp, *snapshot, out.snapshot);
  if (!timestamp) {
    return timestamp.error().with_context("making the timestamp");
  }
  const std::string hint = "the root must list the controller's online key " +
                           online_key_->public_key().key_id() + " for snapshot and timestamp";
  if (auto taken = set->update_timestamp(*timestamp); !taken) {
    return taken.error().with_context(hint);
  }
  if (auto taken = set->update_snapshot(*snapshot); !taken) {
    return taken.error().with_context(hint);
  }
  if (!set->targets_current()) {
    if (auto taken = set->update_targets(targets); !taken) {
      return taken.error().with_context(served_name("targets", targets_version));
    }
  }
  stored.push_back(record_of("snapshot", out.snapshot, std::move(*snapshot)));
  stored.push_back(record_of("timestamp", out.timestamp, std::move(*timestamp)));
  const auto now_ms = now.time_since_epoch().count();
  if (auto kept = store_.publish_metadata(tenant, stored, published, now_ms); !kept) {
    return kept.error();
  }
  return out;
}

Result<bool> TrustPublisher::refresh(const std::string& tenant) {
  const std::lock_guard lock{mutex_};
  auto current = load(tenant);
  if (!current) {
    return current.error();
  }
  if (!current->timestamp || !current->snapshot || !current->targets) {
    return false;
  }
  const auto timestamp = tuf::parse_timestamp(current->timestamp->content);
  const auto snapshot = tuf::parse_snapshot(current->snapshot->content);
  if (!timestamp || !snapshot) {
    return (timestamp ? snapshot.error() : timestamp.error()).with_context("the store");
  }
  const WallTime now = clock_.wall_now();
  if (timestamp->content.expires - now > config_.timestamp_lifetime / 2) {
    return false;
  }
  std::vector<MetadataRecord> files;
  if (snapshot->content.expires - now <= config_.timestamp_lifetime) {
    auto bytes = make_snapshot(
        current->snapshot->version + 1, current->targets->content, current->targets->version);
    if (!bytes) {
      return bytes.error();
    }
    current->snapshot = record_of("snapshot", current->snapshot->version + 1, std::move(*bytes));
    files.push_back(*current->snapshot);
  }
  auto bytes = make_timestamp(
      current->timestamp->version + 1, current->snapshot->content, current->snapshot->version);
  if (!bytes) {
    return bytes.error();
  }
  files.push_back(record_of("timestamp", current->timestamp->version + 1, std::move(*bytes)));
  const auto now_ms = now.time_since_epoch().count();
  if (auto kept = store_.publish_metadata(tenant, files, {}, now_ms); !kept) {
    return kept.error();
  }
  return true;
}

Result<std::vector<NamedBytes>> TrustPublisher::current(const std::string& tenant) {
  auto files = store_.current_metadata(tenant, std::string{kImage});
  if (!files) {
    return files.error();
  }
  std::vector<NamedBytes> out;
  for (auto& file : *files) {
    out.push_back({std::move(file.name), std::move(file.content)});
  }
  return out;
}

Result<std::string> TrustPublisher::read(const std::string& tenant,
                                         std::string_view repository,
                                         std::string_view name) {
  if (repository != kImage) {
    return Error{Error::Code::kNotFound,
                 "there is no repository \"" + std::string{repository.substr(0, 64)} +
                     "\"; this controller serves \"image\""};
  }
  if (name.size() > 64) {
    return Error{Error::Code::kNotFound, "there is no metadata file of such a name"};
  }
  auto file = store_.find_metadata(tenant, std::string{repository}, std::string{name});
  if (!file) {
    return file.error();
  }
  if (!*file) {
    return Error{
        Error::Code::kNotFound,
        "nothing is published as \"" + std::string{name} + "\" in " + std::string{repository}};
  }
  return std::move((**file).content);
}

Result<PublishedVersions> TrustPublisher::versions(const std::string& tenant) {
  const auto current = load(tenant);
  if (!current) {
    return current.error();
  }
  return current->versions();
}

Result<std::optional<TrustPublisher::Target>> TrustPublisher::find_target(const std::string& tenant,
                                                                          std::string_view path) {
  using Found = std::optional<Target>;
  const auto current = load(tenant);
  if (!current) {
    return current.error();
  }
  if (!current->targets) {
    return Found{};
  }
  const auto targets = tuf::parse_targets(current->targets->content);
  if (!targets) {
    return targets.error().with_context("the store");
  }
  const auto found = targets->content.targets.find(path);
  if (found == targets->content.targets.end()) {
    return Found{};
  }
  const auto digest = found->second.sha256();
  if (!digest) {
    return digest.error();
  }
  return Found{Target{digest->to_string(), found->second.release_counter()}};
}

}  // namespace skerry::controller
