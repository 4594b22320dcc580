#include "trust_upload.hpp"

#include <algorithm>
#include <utility>

#include "skerry/security/tuf/delegation_walk.hpp"

namespace skerry::controller {

namespace tuf = security::tuf;
using tuf::Role;

Result<Upload> sort_upload(std::vector<NamedBytes> files, std::string_view repository) {
  if (files.empty() || files.size() > TrustPublisher::kMaxFiles) {
    return Error{Error::Code::kInvalidArgument, "publish 1 to 64 files at a time"};
  }
  Upload out;
  for (auto& file : files) {
    const auto name = parse_upload_name(file.name);
    if (!name) {
      return name.error();
    }
    if (name->role == Role::kRoot) {
      out.roots[name->version] = std::move(file.content);
      continue;
    }
    auto& newest = out.roles[name->role.text()];
    // Only the newest matters: devices take no files in between.
    if (newest.version < name->version) {
      newest = metadata_record(repository, name->role, name->version, std::move(file.content));
    }
  }
  return out;
}

Result<RoleRecords> merge_roles(const PublishedSet& current, const Upload& upload) {
  auto roles = current.roles;
  roles.erase(std::string{to_string(Role::kSnapshot)});
  roles.erase(std::string{to_string(Role::kTimestamp)});
  for (const auto& [role, file] : upload.roles) {
    const auto known = roles.find(role);
    if (known != roles.end() &&
        (file.version < known->second.version ||
         (file.version == known->second.version && file.content != known->second.content))) {
      return Error{Error::Code::kRollback,
                   role + " version " + std::to_string(known->second.version) +
                       " is published; the next one must have a higher version than " +
                       std::to_string(file.version)};
    }
    roles.insert_or_assign(role, file);
  }
  if (!roles.contains(to_string(Role::kTargets))) {
    return Error{Error::Code::kFailedPrecondition,
                 "nothing is published yet: the first publication needs <n>.targets.json too"};
  }
  return roles;
}

Result<tuf::TrustedSet> follow_roots(const PublishedSet& current,
                                     std::map<std::int64_t, std::string> roots,
                                     WallTime now,
                                     std::string_view repository,
                                     std::vector<MetadataRecord>& stored) {
  if (current.roots.empty()) {
    if (roots.empty()) {
      return Error{Error::Code::kFailedPrecondition,
                   "nothing is published yet: the first publication needs 1.root.json"};
    }
    stored.push_back(
        metadata_record(repository, Role::kRoot, roots.begin()->first, roots.begin()->second));
    roots.erase(roots.begin());
  }
  const std::string& first =
      current.roots.empty() ? stored.front().content : current.roots.back().content;
  auto set = tuf::TrustedSet::create(first, {now, security::TimeQuality::kSynchronised});
  if (!set) {
    return set.error().with_context("the root");
  }
  for (auto& [version, content] : roots) {
    const auto known = std::find_if(current.roots.begin(),
                                    current.roots.end(),
                                    [v = version](const auto& root) { return root.version == v; });
    if (known != current.roots.end()) {
      if (known->content != content) {
        return Error{
            Error::Code::kMetadataMismatch,
            "root version " + std::to_string(version) + " is published with other content"};
      }
      continue;
    }
    if (auto updated = set->update_root(content); !updated) {
      return updated.error().with_context(served_name(Role::kRoot, version));
    }
    stored.push_back(metadata_record(repository, Role::kRoot, version, std::move(content)));
  }
  if (auto finished = set->finish_root(); !finished) {
    return finished.error().with_context("the root");
  }
  return set;
}

void load_published(tuf::TrustedSet& set, const PublishedSet& current) {
  const MetadataRecord* timestamp = current.find(to_string(Role::kTimestamp));
  const MetadataRecord* snapshot = current.find(to_string(Role::kSnapshot));
  const MetadataRecord* targets = current.find(to_string(Role::kTargets));
  if (timestamp != nullptr && set.load_trusted_timestamp(timestamp->content) &&
      snapshot != nullptr && set.load_trusted_snapshot(snapshot->content) && targets != nullptr) {
    static_cast<void>(set.load_trusted_targets(targets->content).has_value());
  }
}

Result<std::vector<tuf::DelegatedTargets>> check_delegated(tuf::TrustedSet& set,
                                                           const PublishedSet& current,
                                                           const Upload& upload) {
  const auto file_of = [&](const tuf::RoleName& role) -> std::optional<std::string> {
    if (const auto sent = upload.roles.find(role.text()); sent != upload.roles.end()) {
      return sent->second.content;
    }
    const MetadataRecord* held = current.find(role.text());
    return held == nullptr ? std::nullopt : std::optional<std::string>{held->content};
  };
  auto walked = tuf::walk_delegations(set, file_of);
  if (!walked) {
    return walked.error();
  }
  std::vector<tuf::DelegatedTargets> out;
  std::map<std::string, bool> reached;
  for (auto& role : *walked) {
    const bool sent = upload.roles.contains(role.name.text());
    const bool published = current.find(role.name.text()) != nullptr;
    if (role.file) {
      out.push_back(std::move(*role.file));
    } else if (sent || !published) {
      return role.file.error().with_context(role.name.text());
    }
    reached[role.name.text()] = true;
  }
  for (const auto& [role, file] : upload.roles) {
    if (role != to_string(Role::kTargets) && !reached.contains(role)) {
      return Error{Error::Code::kPermissionDenied,
                   "nobody delegates to the role \"" + role +
                       "\": publish the list that does with it (skerry repo delegate)"};
    }
  }
  return out;
}

}  // namespace skerry::controller
