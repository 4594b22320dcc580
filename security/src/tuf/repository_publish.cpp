#include <algorithm>
#include <optional>
#include <utility>

#include "skerry/security/tuf/repository.hpp"

#include "repository_json.hpp"

namespace skerry::security::tuf {

// A staged file may be published: signed by enough keys (of both roots for a root), and the next
// version, or the very one that a crash left staged after it was published.
Result<void> Repository::check_ready(const RoleName& role) const {
  auto bytes = load_staged(role);
  if (!bytes) {
    return std::move(bytes).error();
  }
  auto signers = signers_for(role);
  if (!signers) {
    return std::move(signers).error();
  }
  auto published = load_published(role);
  if (!published) {
    return std::move(published).error();
  }
  if (!*bytes) {
    bytes = published;
  }
  if (!*bytes) {
    return Error{Error::Code::kFailedPrecondition,
                 "the repository has no " + std::string{to_string(role)}};
  }
  auto file = parse_any(role, **bytes);
  if (!file) {
    return std::move(file).error();
  }
  if (auto met = check_threshold(*file, *signers, role); !met) {
    return met.error().with_context("staged or published " + std::string{to_string(role)});
  }
  if (!*published || **published == **bytes) {
    return {};
  }
  auto before = parse_any(role, **published);
  if (!before) {
    return std::move(before).error();
  }
  if (file->version != before->version + 1) {
    return Error{Error::Code::kRollback,
                 "staged " + std::string{to_string(role)} + " has version " +
                     std::to_string(file->version) + "; version " +
                     std::to_string(before->version + 1) + " is next"};
  }
  if (role != Role::kRoot) {
    return {};
  }
  auto old_root = parse_root(**published);
  if (!old_root) {
    return std::move(old_root).error();
  }
  if (auto met = check_threshold(*file, signers_of(old_root->content, Role::kRoot), role); !met) {
    return met.error().with_context("staged root, by the published root's keys");
  }
  return {};
}

Result<void> Repository::move_to_published(const RoleName& role) {
  auto bytes = load_staged(role);
  if (!bytes || !*bytes) {
    return bytes ? Result<void>{} : Result<void>{std::move(bytes).error()};
  }
  auto file = parse_any(role, **bytes);
  if (!file) {
    return std::move(file).error();
  }
  const std::string name = std::to_string(file->version) + "." + encode_role_name(role) + ".json";
  if (auto written = write_file_atomic(fs_, metadata_path(name), **bytes); !written) {
    return written;
  }
  if (auto gone = fs_.remove(staging_path(role)); !gone) {
    return gone;
  }
  return fs_.sync_directory(staging_path(role).parent_path());
}

namespace {

// The targets role and those that it delegates to.
std::vector<RoleName> roles_of(const Targets& targets) {
  std::vector<RoleName> roles{Role::kTargets};
  if (targets.delegations) {
    for (const DelegatedRole& role : targets.delegations->roles) {
      roles.emplace_back(role.name);
    }
  }
  return roles;
}

}  // namespace

Result<void> Repository::publish_snapshot(const Signer& key,
                                          const Envelope<Root>& root,
                                          const RepositoryLifetimes& lifetimes,
                                          WallTime now) {
  auto before = load_published(Role::kSnapshot);
  auto targets = published_targets();
  if (!before || !targets) {
    return before ? targets.error() : before.error();
  }
  std::int64_t version = 1;
  Json::Object meta;
  bool current = false;
  if (*before) {
    auto old = parse_snapshot(**before);
    auto part = signed_part_of(**before, "snapshot");
    if (!old || !part) {
      return old ? part.error() : old.error();
    }
    version = old->content.version + 1;
    // TUF 5.5.5: what was listed once stays listed, also when nobody delegates to it any more.
    meta = *(*part->object())["meta"].object();
    current = old->content.expires > now + lifetimes.timestamp &&
              verify_threshold(root.content.keys_of(Role::kSnapshot),
                               root.content.keys,
                               old->signatures,
                               old->canonical,
                               "snapshot");
  }
  // Of what is published: a delegation that is only staged is not for the daily snapshot.
  for (const RoleName& role : roles_of(*targets)) {
    auto bytes = load_published(role);
    if (!bytes || !*bytes) {
      return bytes ? Error{Error::Code::kFailedPrecondition, role.text() + " is not published yet"}
                   : bytes.error();
    }
    auto file = parse_any(role, **bytes);
    if (!file) {
      return std::move(file).error();
    }
    Json entry = encode_meta(file->version, **bytes);
    Json& listed = meta[role.text() + ".json"];
    current = current && listed == entry;
    listed = std::move(entry);
  }
  if (current) {
    return {};
  }
  Json::Object snapshot = common_fields(Role::kSnapshot, version, now + lifetimes.snapshot, now);
  snapshot.emplace("meta", std::move(meta));
  auto bytes = sign_metadata(encode_file(Json{std::move(snapshot)}, {}), key);
  if (!bytes) {
    return std::move(bytes).error();
  }
  return write_file_atomic(fs_, metadata_path(std::to_string(version) + ".snapshot.json"), *bytes);
}

Result<void> Repository::publish_timestamp(const Signer& key,
                                           const RepositoryLifetimes& lifetimes,
                                           WallTime now) {
  auto snapshot_bytes = load_published(Role::kSnapshot);
  auto before = load_published(Role::kTimestamp);
  if (!snapshot_bytes || !before) {
    return snapshot_bytes ? before.error() : snapshot_bytes.error();
  }
  auto snapshot = parse_snapshot(**snapshot_bytes);
  if (!snapshot) {
    return std::move(snapshot).error();
  }
  std::int64_t version = 1;
  if (*before) {
    auto old = parse_timestamp(**before);
    if (!old) {
      return std::move(old).error();
    }
    version = old->content.version + 1;
  }
  Json::Object meta;
  meta.emplace("snapshot.json", encode_meta(snapshot->content.version, **snapshot_bytes));
  Json::Object timestamp = common_fields(Role::kTimestamp, version, now + lifetimes.timestamp, now);
  timestamp.emplace("meta", std::move(meta));
  auto bytes = sign_metadata(encode_file(Json{std::move(timestamp)}, {}), key);
  if (!bytes) {
    return std::move(bytes).error();
  }
  // Last: before it, clients see the old set; after it, the new one.
  return write_file_atomic(fs_, metadata_path("timestamp.json"), *bytes);
}

Result<void> Repository::publish(const Signer& snapshot_key,
                                 const Signer& timestamp_key,
                                 const RepositoryLifetimes& lifetimes,
                                 WallTime now) {
  // All checks come before the first write.
  const auto roles = offline_roles();
  if (!roles) {
    return roles.error();
  }
  for (const RoleName& role : *roles) {
    if (auto ready = check_ready(role); !ready) {
      return ready;
    }
  }
  auto root = governing_root();
  if (!root) {
    return std::move(root).error();
  }
  for (const auto& [role, key] :
       {std::pair{Role::kSnapshot, &snapshot_key}, std::pair{Role::kTimestamp, &timestamp_key}}) {
    if (!speaks_for(root->content, role, key->public_key())) {
      return Error{Error::Code::kPermissionDenied,
                   "key " + key->public_key().key_id().substr(0, 16) + " is not the " +
                       std::string{to_string(role)} + " key of the root"};
    }
  }
  // Targets come after the roles they delegate to, so that a crash leaves no delegation to nothing.
  std::vector<RoleName> order = *roles;
  std::reverse(order.begin() + 1, order.end());
  for (const RoleName& role : order) {
    if (auto moved = move_to_published(role); !moved) {
      return moved.error().with_context("publishing " + role.text());
    }
  }
  if (auto done = publish_snapshot(snapshot_key, *root, lifetimes, now); !done) {
    return done.error().with_context("publishing snapshot");
  }
  if (auto done = publish_timestamp(timestamp_key, lifetimes, now); !done) {
    return done.error().with_context("publishing timestamp");
  }
  return {};
}

Result<void> Repository::refresh_online(const Signer& snapshot_key,
                                        const Signer& timestamp_key,
                                        const RepositoryLifetimes& lifetimes,
                                        WallTime now) {
  auto root_bytes = load_published(Role::kRoot);
  auto targets_bytes = load_published(Role::kTargets);
  if (!root_bytes || !targets_bytes) {
    return root_bytes ? targets_bytes.error() : root_bytes.error();
  }
  if (!*root_bytes || !*targets_bytes) {
    return Error{Error::Code::kFailedPrecondition,
                 "nothing is published yet; sign and publish root and targets first"};
  }
  auto root = parse_root(**root_bytes);
  if (!root) {
    return std::move(root).error();
  }
  if (!speaks_for(root->content, Role::kSnapshot, snapshot_key.public_key()) ||
      !speaks_for(root->content, Role::kTimestamp, timestamp_key.public_key())) {
    return Error{Error::Code::kPermissionDenied, "the online key is not the published root's"};
  }
  if (auto done = publish_snapshot(snapshot_key, *root, lifetimes, now); !done) {
    return done;
  }
  return publish_timestamp(timestamp_key, lifetimes, now);
}

}  // namespace skerry::security::tuf
