#include "skerry/controller/trust_publisher.hpp"

#include <utility>

#include "skerry/common/json.hpp"

#include "trust_files.hpp"
#include "trust_upload.hpp"

namespace skerry::controller {

namespace tuf = security::tuf;
using tuf::Role;

TrustPublisher::TrustPublisher(Store& store,
                               std::shared_ptr<const security::Signer> online_key,
                               const Clock& clock,
                               TrustConfig config)
    : store_(store), online_key_(std::move(online_key)), clock_(clock), config_(config) {}

std::string TrustPublisher::online_key() const {
  const auto canonical = online_key_->public_key().to_tuf_json().canonical();
  return canonical ? *canonical : std::string{};
}

// TUF 5.5.5: what was listed once stays listed, also when nobody delegates to it any more.
Result<std::string> TrustPublisher::make_snapshot(const MetadataRecord* before,
                                                  const Roles& roles) const {
  Json::Object meta;
  if (before != nullptr) {
    const auto file = Json::parse(before->content);
    const auto part = file ? file->get_object("signed") : Result<const Json*>{file.error()};
    const auto listed = part ? (*part)->get_object("meta") : Result<const Json*>{part.error()};
    if (!listed) {
      return listed.error().with_context("the store");
    }
    meta = *(*listed)->object();
  }
  for (const auto& [role, file] : roles) {
    meta[role + ".json"] = meta_entry(file.content, file.version);
  }
  Json::Object part{{"_type", "snapshot"}, {"meta", std::move(meta)}};
  return sign_role(std::move(part),
                   (before == nullptr ? 0 : before->version) + 1,
                   clock_.wall_now(),
                   config_.snapshot_lifetime,
                   *online_key_);
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

// Every model that a list names must have been staged with these very bytes, or a device would be
// told of something that nobody can serve.
Result<void> TrustPublisher::check_staged(const std::string& tenant,
                                          const tuf::Targets& targets,
                                          std::vector<std::string>& published) {
  for (const auto& [path, target] : targets.targets) {
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
  return {};
}

Result<PublishedVersions> TrustPublisher::publish(const std::string& tenant,
                                                  std::vector<NamedBytes> files) {
  const std::lock_guard lock{mutex_};
  auto upload = sort_upload(std::move(files), kImage);
  if (!upload) {
    return upload.error();
  }
  const auto current = PublishedSet::load(store_, tenant, kImage);
  if (!current) {
    return current.error();
  }
  const WallTime now = clock_.wall_now();
  std::vector<MetadataRecord> stored;
  auto set = follow_roots(*current, std::move(upload->roots), now, kImage, stored);
  if (!set) {
    return set.error();
  }
  load_published(*set, *current);
  const auto roles = merge_roles(*current, *upload);
  if (!roles) {
    return roles.error();
  }
  for (const auto& [role, file] : upload->roles) {
    stored.push_back(file);
  }

  const MetadataRecord& targets = roles->find(to_string(Role::kTargets))->second;
  PublishedVersions out{set->root().content.version,
                        targets.version,
                        current->version_of(to_string(Role::kSnapshot)) + 1,
                        current->version_of(to_string(Role::kTimestamp)) + 1,
                        {}};
  auto snapshot = make_snapshot(current->find(to_string(Role::kSnapshot)), *roles);
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
    if (auto taken = set->update_targets(targets.content); !taken) {
      return taken.error().with_context(served_name(Role::kTargets, targets.version));
    }
  }
  const auto delegated = check_delegated(*set, *current, *upload);
  if (!delegated) {
    return delegated.error();
  }
  std::vector<std::string> published;
  if (auto staged = check_staged(tenant, set->targets()->content, published); !staged) {
    return staged.error();
  }
  for (const auto& role : *delegated) {
    if (auto staged = check_staged(tenant, role->content, published); !staged) {
      return staged.error();
    }
  }
  for (const auto& [role, file] : *roles) {
    if (role != to_string(Role::kTargets)) {
      out.delegated.emplace(role, file.version);
    }
  }
  stored.push_back(metadata_record(kImage, Role::kSnapshot, out.snapshot, std::move(*snapshot)));
  stored.push_back(metadata_record(kImage, Role::kTimestamp, out.timestamp, std::move(*timestamp)));
  const auto now_ms = now.time_since_epoch().count();
  if (auto kept = store_.publish_metadata(tenant, stored, published, now_ms); !kept) {
    return kept.error();
  }
  return out;
}

Result<bool> TrustPublisher::refresh(const std::string& tenant) {
  const std::lock_guard lock{mutex_};
  const auto current = PublishedSet::load(store_, tenant, kImage);
  if (!current) {
    return current.error();
  }
  const MetadataRecord* held_timestamp = current->find(to_string(Role::kTimestamp));
  const MetadataRecord* held_snapshot = current->find(to_string(Role::kSnapshot));
  if (held_timestamp == nullptr || held_snapshot == nullptr) {
    return false;
  }
  const auto timestamp = tuf::parse_timestamp(held_timestamp->content);
  const auto snapshot = tuf::parse_snapshot(held_snapshot->content);
  if (!timestamp || !snapshot) {
    return (timestamp ? snapshot.error() : timestamp.error()).with_context("the store");
  }
  const WallTime now = clock_.wall_now();
  if (timestamp->content.expires - now > config_.timestamp_lifetime / 2) {
    return false;
  }
  std::vector<MetadataRecord> files;
  MetadataRecord named = *held_snapshot;
  if (snapshot->content.expires - now <= config_.timestamp_lifetime) {
    const auto roles = merge_roles(*current, Upload{});
    auto bytes = roles ? make_snapshot(held_snapshot, *roles) : roles.error();
    if (!bytes) {
      return bytes.error();
    }
    named = metadata_record(kImage, Role::kSnapshot, held_snapshot->version + 1, std::move(*bytes));
    files.push_back(named);
  }
  auto bytes = make_timestamp(held_timestamp->version + 1, named.content, named.version);
  if (!bytes) {
    return bytes.error();
  }
  files.push_back(
      metadata_record(kImage, Role::kTimestamp, held_timestamp->version + 1, std::move(*bytes)));
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
  if (name.size() > kMaxName) {
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
  const auto current = PublishedSet::load(store_, tenant, kImage);
  if (!current) {
    return current.error();
  }
  PublishedVersions out{current->version_of(to_string(Role::kRoot)),
                        current->version_of(to_string(Role::kTargets)),
                        current->version_of(to_string(Role::kSnapshot)),
                        current->version_of(to_string(Role::kTimestamp)),
                        {}};
  for (const auto& [role, file] : current->roles) {
    if (tuf::RoleName{role}.is_delegated()) {
      out.delegated.emplace(role, file.version);
    }
  }
  return out;
}

Result<std::optional<TrustPublisher::Target>> TrustPublisher::find_target(const std::string& tenant,
                                                                          std::string_view path) {
  using Found = std::optional<Target>;
  const auto current = PublishedSet::load(store_, tenant, kImage);
  if (!current) {
    return current.error();
  }
  if (current->find(to_string(Role::kTargets)) == nullptr) {
    return Found{};
  }
  // As a device finds it, without expiry: this only says what a rollout would offer.
  PublishedMetadata published{*current};
  tuf::Client client{published, published};
  if (auto loaded = client.load({clock_.wall_now(), security::TimeQuality::kSynchronised});
      !loaded) {
    return loaded.error().with_context("the store");
  }
  const auto found = client.lookup(path);
  if (!found) {
    return found.error().code() == Error::Code::kNotFound ||
                   found.error().code() == Error::Code::kInvalidArgument
               ? Result<Found>{Found{}}
               : found.error();
  }
  const auto digest = found->file.sha256();
  if (!digest) {
    return digest.error();
  }
  return Found{Target{digest->to_string(),
                      static_cast<std::int64_t>(found->file.length),
                      found->file.release_counter()}};
}

}  // namespace skerry::controller
