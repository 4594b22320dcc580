#include "skerry/cli/trust_copy.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "skerry/security/trusted_time.hpp"
#include "skerry/security/tuf/delegation_walk.hpp"
#include "skerry/security/tuf/trusted_set.hpp"

namespace skerry::cli {
namespace {

namespace tuf = security::tuf;

// By role and version; the timestamp alone has none in its name and is kept as version 1.
using Published = std::map<tuf::RoleName, std::map<std::int64_t, std::string>>;

// "12.targets.json" is version 12 of targets; other names are passed over.
Published sort_files(const NamedFiles& files) {
  constexpr std::string_view kSuffix = ".json";
  Published published;
  for (const auto& [name, content] : files) {
    if (name == "timestamp.json") {
      published[tuf::Role::kTimestamp][1] = content;
      continue;
    }
    std::int64_t version = 0;
    const auto* end = name.data() + name.size();
    const auto [rest, ec] = std::from_chars(name.data(), end, version);
    std::string_view tail{rest, static_cast<std::size_t>(end - rest)};
    if (ec != std::errc{} || version < 1 || !tail.starts_with('.') || !tail.ends_with(kSuffix) ||
        tail.size() <= kSuffix.size() + 1) {
      continue;
    }
    tail = tail.substr(1, tail.size() - 1 - kSuffix.size());
    if (const auto role = tuf::decode_role_name(tail); role) {
      published[*role][version] = content;
    }
  }
  return published;
}

// Null if the controller did not send it.
const std::string* find_file(const Published& published,
                             const tuf::RoleName& role,
                             std::int64_t version) {
  const auto files = published.find(role);
  if (files == published.end()) {
    return nullptr;
  }
  const auto file = files->second.find(version);
  return file == files->second.end() ? nullptr : &file->second;
}

Result<void> keep(FileSystem& fs,
                  const std::filesystem::path& folder,
                  const std::string& name,
                  const std::string& content) {
  const auto directory = folder / "metadata";
  if (auto made = fs.create_directories(directory, 0755); !made) {
    return made;
  }
  const auto path = directory / name;
  const auto stored = fs.exists(path) ? read_file(fs, path, tuf::MetadataLimits::kTargetsBytes)
                                      : Result<std::string>{std::string{}};
  if (stored && *stored == content) {
    return {};
  }
  return write_file_atomic(fs, path, content, 0644);
}

// The root that this working copy starts from, and the next ones in sequence.
Result<tuf::TrustedSet> trusted_roots(const tuf::Repository& repository,
                                      const Published& published,
                                      WallTime now) {
  const auto own = repository.current_root();
  if (!own) {
    return own.error();
  }
  auto set = tuf::TrustedSet::create(
      *own, security::TrustedTime{now, security::TimeQuality::kSynchronised});
  if (!set) {
    return set.error().with_context("the working copy's own root (is it signed?)");
  }
  for (;;) {
    const std::int64_t version = set->root().content.version + 1;
    const std::string* next = find_file(published, tuf::Role::kRoot, version);
    if (next == nullptr) {
      break;
    }
    if (auto updated = set->update_root(*next); !updated) {
      return updated.error().with_context("published root " + std::to_string(version));
    }
  }
  if (auto finished = set->finish_root(); !finished) {
    return finished.error();
  }
  return set;
}

// What the working copy has seen of a role.
std::int64_t seen_version(const tuf::RepositoryStatus& status, const tuf::RoleName& role) {
  const auto found = std::find_if(
      status.roles.begin(), status.roles.end(), [&](const auto& one) { return one.role == role; });
  return found == status.roles.end() ? 0 : found->published_version;
}

Result<void> check_not_older(const tuf::RepositoryStatus& status,
                             const tuf::RoleName& role,
                             std::int64_t version) {
  const std::int64_t seen = seen_version(status, role);
  if (seen > version) {
    return Error{Error::Code::kRollback,
                 "the controller publishes " + role.text() + " " + std::to_string(version) +
                     ", this working copy has seen " + std::to_string(seen)};
  }
  return {};
}

Result<void> verify_targets(tuf::TrustedSet& set,
                            const Published& published,
                            const tuf::RepositoryStatus& status) {
  const std::string* timestamp = find_file(published, tuf::Role::kTimestamp, 1);
  if (auto updated = set.update_timestamp(*timestamp); !updated) {
    return updated.error().with_context("published timestamp");
  }
  const std::string* snapshot =
      find_file(published, tuf::Role::kSnapshot, set.timestamp()->content.snapshot.version);
  if (snapshot == nullptr) {
    return Error{Error::Code::kMetadataMismatch,
                 "the controller did not send the snapshot that its timestamp names"};
  }
  if (auto updated = set.update_snapshot(*snapshot); !updated) {
    return updated.error().with_context("published snapshot");
  }
  const tuf::MetaFile* meta = set.targets_meta();
  const std::string* targets =
      find_file(published, tuf::Role::kTargets, meta == nullptr ? 0 : meta->version);
  if (targets == nullptr) {
    return Error{Error::Code::kMetadataMismatch,
                 "the controller did not send the targets that its snapshot names"};
  }
  if (auto updated = set.update_targets(*targets); !updated) {
    return updated.error().with_context("published targets");
  }
  return check_not_older(status, tuf::Role::kTargets, set.targets()->content.version);
}

// The delegated roles that count. One that devices refuse, since its holders let it expire, have
// not signed it anew or list others' paths, is left as the working copy has it.
Result<std::map<tuf::RoleName, tuf::DelegatedTargets>> verify_delegated(
    tuf::TrustedSet& set, const Published& published, const tuf::RepositoryStatus& status) {
  const auto file_of = [&](const tuf::RoleName& role) -> std::optional<std::string> {
    const tuf::MetaFile* meta = set.meta_of(role);
    const std::string* bytes =
        meta == nullptr ? nullptr : find_file(published, role, meta->version);
    return bytes == nullptr ? std::nullopt : std::optional<std::string>{*bytes};
  };
  auto walked = tuf::walk_delegations(set, file_of);
  if (!walked) {
    return walked.error();
  }
  std::map<tuf::RoleName, tuf::DelegatedTargets> out;
  for (auto& role : *walked) {
    if (!role.file) {
      continue;
    }
    if (auto newer = check_not_older(status, role.name, (*role.file)->content.version); !newer) {
      return newer.error();
    }
    out.insert_or_assign(role.name, std::move(*role.file));
  }
  return out;
}

// What was staged here and is now published needs no more signatures.
Result<void> forget_published(tuf::Repository& repository,
                              const std::map<tuf::RoleName, std::int64_t>& published) {
  const auto status = repository.status();
  if (!status) {
    return status.error();
  }
  for (const auto& role : status->roles) {
    const auto version = published.find(role.role);
    if (role.staged_version && version != published.end() &&
        *role.staged_version <= version->second) {
      if (auto discarded = repository.discard(role.role); !discarded) {
        return discarded;
      }
    }
  }
  return {};
}

}  // namespace

Result<void> adopt_published(FileSystem& fs,
                             const std::filesystem::path& folder,
                             const NamedFiles& files,
                             WallTime now) {
  const Published published = sort_files(files);
  if (!published.contains(tuf::Role::kRoot) || !published.contains(tuf::Role::kTimestamp)) {
    return {};
  }
  const auto repository = tuf::Repository::open(fs, folder);
  if (!repository) {
    return repository.error();
  }
  const auto status = (*repository)->status();
  if (!status) {
    return status.error();
  }
  auto set = trusted_roots(**repository, published, now);
  if (!set) {
    return set.error();
  }
  if (auto verified = verify_targets(*set, published, *status); !verified) {
    return verified;
  }
  const auto delegated = verify_delegated(*set, published, *status);
  if (!delegated) {
    return delegated.error();
  }
  for (const auto& [version, content] : published.at(tuf::Role::kRoot)) {
    if (version <= set->root().content.version) {
      if (auto kept = keep(fs, folder, std::to_string(version) + ".root.json", content); !kept) {
        return kept;
      }
    }
  }
  // The lists come before what names them.
  std::map<tuf::RoleName, std::int64_t> followed{
      {tuf::Role::kRoot, set->root().content.version},
      {tuf::Role::kTargets, set->targets()->content.version}};
  std::vector<std::pair<std::string, const std::string*>> rest;
  for (const auto& [role, file] : *delegated) {
    followed[role] = file->content.version;
    rest.emplace_back(
        std::to_string(file->content.version) + "." + tuf::encode_role_name(role) + ".json",
        &file->bytes);
  }
  rest.emplace_back(std::to_string(set->targets()->content.version) + ".targets.json",
                    &set->targets()->bytes);
  rest.emplace_back(std::to_string(set->snapshot()->content.version) + ".snapshot.json",
                    &set->snapshot()->bytes);
  rest.emplace_back("timestamp.json", &set->timestamp()->bytes);
  for (const auto& [name, content] : rest) {
    if (auto kept = keep(fs, folder, name, *content); !kept) {
      return kept;
    }
  }
  return forget_published(**repository, followed);
}

Result<void> adopt_roots(FileSystem& fs,
                         const std::filesystem::path& folder,
                         const NamedFiles& files,
                         WallTime now) {
  const Published published = sort_files(files);
  if (!published.contains(tuf::Role::kRoot)) {
    return {};
  }
  const auto repository = tuf::Repository::open(fs, folder);
  if (!repository) {
    return repository.error();
  }
  const auto set = trusted_roots(**repository, published, now);
  if (!set) {
    return set.error();
  }
  for (const auto& [version, content] : published.at(tuf::Role::kRoot)) {
    if (version <= set->root().content.version) {
      if (auto kept = keep(fs, folder, std::to_string(version) + ".root.json", content); !kept) {
        return kept;
      }
    }
  }
  return forget_published(**repository, {{tuf::Role::kRoot, set->root().content.version}});
}

Result<NamedFiles> ready_to_publish(const tuf::Repository& repository) {
  const auto status = repository.status();
  if (!status) {
    return status.error();
  }
  NamedFiles files;
  for (const auto& role : status->roles) {
    if (!role.staged_version) {
      continue;
    }
    if (!role.ready) {
      return Error{Error::Code::kThresholdNotMet,
                   role.role.text() + " " + std::to_string(*role.staged_version) + " has " +
                       std::to_string(role.signatures) + " of " + std::to_string(role.threshold) +
                       " signatures: skerry repo sign"};
    }
    auto bytes = repository.staged(role.role);
    if (!bytes) {
      return bytes.error();
    }
    files.emplace_back(
        std::to_string(*role.staged_version) + "." + tuf::encode_role_name(role.role) + ".json",
        std::move(*bytes));
  }
  if (files.empty()) {
    return Error{Error::Code::kFailedPrecondition,
                 "nothing is staged: skerry repo add, or fleet push --sign"};
  }
  return files;
}

}  // namespace skerry::cli
