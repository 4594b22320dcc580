#include <optional>
#include <utility>

#include "skerry/security/tuf/repository.hpp"
#include "skerry/security/tuf/trusted_set.hpp"

#include "repository_json.hpp"

namespace skerry::security::tuf {

Result<std::unique_ptr<Repository>> Repository::join(FileSystem& fs,
                                                     std::filesystem::path directory,
                                                     std::string_view root) {
  const auto trusted = TrustedSet::create(root, TrustedTime{});
  if (!trusted) {
    return trusted.error().with_context("the root to start from");
  }
  if (fs.exists(directory / "metadata")) {
    return Error{Error::Code::kAlreadyExists, directory.string() + " holds a repository already"};
  }
  for (const char* name : {"staging", "metadata"}) {
    if (auto made = fs.create_directories(directory / name); !made) {
      return made.error().with_context("making the working copy");
    }
  }
  std::unique_ptr<Repository> repository{new Repository(fs, std::move(directory))};
  const std::string name = std::to_string(trusted->root().content.version) + ".root.json";
  if (auto written = write_file_atomic(fs, repository->metadata_path(name), root); !written) {
    return written.error();
  }
  return repository;
}

Result<RoleStatus> Repository::role_status(const RoleName& role) const {
  RoleStatus out;
  out.role = role;
  auto signers = signers_for(role);
  auto published = load_published(role);
  auto waiting = load_staged(role);
  if (!signers || !published || !waiting) {
    return !signers ? signers.error() : !published ? published.error() : waiting.error();
  }
  out.threshold = signers->keys.threshold;
  std::optional<AnyMetadata> shown;
  if (*published) {
    auto file = parse_any(role, **published);
    if (!file) {
      return std::move(file).error();
    }
    out.published_version = file->version;
    out.expires = file->expires;
    shown = std::move(*file);
  }
  if (*waiting) {
    auto file = parse_any(role, **waiting);
    if (!file) {
      return std::move(file).error();
    }
    out.staged_version = file->version;
    out.ready = check_ready(role).has_value();
    shown = std::move(*file);
  }
  for (const std::string& keyid : signers->keys.keyids) {
    KeyStatus key{keyid, "unknown", false};
    if (const auto it = signers->table.usable.find(keyid); it != signers->table.usable.end()) {
      key.algorithm = std::string{to_string(it->second.algorithm())};
      key.signed_by = shown && signed_by(*shown, keyid, it->second);
    }
    out.signatures += key.signed_by ? 1 : 0;
    out.keys.push_back(std::move(key));
  }
  return out;
}

Result<RepositoryStatus> Repository::status() const {
  RepositoryStatus out;
  auto offline = offline_roles();
  if (!offline) {
    return std::move(offline).error();
  }
  std::vector<RoleName> roles{Role::kRoot, Role::kTargets, Role::kSnapshot, Role::kTimestamp};
  roles.insert(roles.end(), offline->begin() + 2, offline->end());
  for (const RoleName& role : roles) {
    auto one = role_status(role);
    if (!one) {
      return std::move(one).error();
    }
    out.roles.push_back(std::move(*one));
  }
  if (auto targets = published_targets()) {
    out.targets = targets->targets.size();
  }
  return out;
}

Result<std::vector<RoleName>> Repository::staged_roles() const {
  auto roles = offline_roles();
  if (!roles) {
    return roles;
  }
  std::vector<RoleName> out;
  for (const RoleName& role : *roles) {
    auto bytes = load_staged(role);
    if (!bytes) {
      return std::move(bytes).error();
    }
    if (*bytes) {
      out.push_back(role);
    }
  }
  return out;
}

}  // namespace skerry::security::tuf
