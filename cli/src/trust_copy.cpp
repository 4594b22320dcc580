#include "skerry/cli/trust_copy.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "skerry/security/trusted_time.hpp"
#include "skerry/security/tuf/trusted_set.hpp"

namespace skerry::cli {
namespace {

namespace tuf = security::tuf;

// "12.targets.json" → 12 for the role "targets"; none for another name.
std::optional<std::int64_t> version_in(std::string_view name, std::string_view role) {
  const std::string suffix = "." + std::string{role} + ".json";
  if (!name.ends_with(suffix)) {
    return std::nullopt;
  }
  name.remove_suffix(suffix.size());
  std::int64_t version = 0;
  const auto [end, ec] = std::from_chars(name.data(), name.data() + name.size(), version);
  if (ec != std::errc{} || end != name.data() + name.size() || version < 1) {
    return std::nullopt;
  }
  return version;
}

struct Published {
  std::map<std::int64_t, std::string> roots;
  std::map<std::int64_t, std::string> targets;
  std::map<std::int64_t, std::string> snapshots;
  std::string timestamp;
};

Published sort_files(const NamedFiles& files) {
  Published published;
  for (const auto& [name, content] : files) {
    if (const auto root = version_in(name, "root")) {
      published.roots[*root] = content;
    } else if (const auto targets = version_in(name, "targets")) {
      published.targets[*targets] = content;
    } else if (const auto snapshot = version_in(name, "snapshot")) {
      published.snapshots[*snapshot] = content;
    } else if (name == "timestamp.json") {
      published.timestamp = content;
    }
  }
  return published;
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
    const auto next = published.roots.find(set->root().content.version + 1);
    if (next == published.roots.end()) {
      break;
    }
    if (auto updated = set->update_root(next->second); !updated) {
      return updated.error().with_context("published root " + std::to_string(next->first));
    }
  }
  if (auto finished = set->finish_root(); !finished) {
    return finished.error();
  }
  return set;
}

Result<void> verify_targets(tuf::TrustedSet& set,
                            const Published& published,
                            const tuf::Repository& repository) {
  if (auto timestamp = set.update_timestamp(published.timestamp); !timestamp) {
    return timestamp.error().with_context("published timestamp");
  }
  const auto snapshot = published.snapshots.find(set.timestamp()->content.snapshot.version);
  if (snapshot == published.snapshots.end()) {
    return Error{Error::Code::kMetadataMismatch,
                 "the controller did not send the snapshot that its timestamp names"};
  }
  if (auto updated = set.update_snapshot(snapshot->second); !updated) {
    return updated.error().with_context("published snapshot");
  }
  const tuf::MetaFile* meta = set.targets_meta();
  const auto targets = published.targets.find(meta == nullptr ? 0 : meta->version);
  if (targets == published.targets.end()) {
    return Error{Error::Code::kMetadataMismatch,
                 "the controller did not send the targets that its snapshot names"};
  }
  if (auto updated = set.update_targets(targets->second); !updated) {
    return updated.error().with_context("published targets");
  }
  const auto seen = repository.published_targets();
  if (seen && seen->version > targets->first) {
    return Error{Error::Code::kRollback,
                 "the controller publishes targets " + std::to_string(targets->first) +
                     ", this working copy has seen " + std::to_string(seen->version)};
  }
  return {};
}

// What was staged here and is now published needs no more signatures.
Result<void> forget_published(tuf::Repository& repository, const tuf::TrustedSet& set) {
  const auto status = repository.status();
  if (!status) {
    return status.error();
  }
  for (const auto& role : status->roles) {
    const std::int64_t published = role.role == tuf::Role::kRoot ? set.root().content.version
                                   : role.role == tuf::Role::kTargets && set.targets() != nullptr
                                       ? set.targets()->content.version
                                       : 0;
    if (role.staged_version && *role.staged_version <= published) {
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
  if (published.roots.empty() || published.timestamp.empty()) {
    return {};
  }
  const auto repository = tuf::Repository::open(fs, folder);
  if (!repository) {
    return repository.error();
  }
  auto set = trusted_roots(**repository, published, now);
  if (!set) {
    return set.error();
  }
  if (auto verified = verify_targets(*set, published, **repository); !verified) {
    return verified;
  }
  for (const auto& [version, content] : published.roots) {
    if (version <= set->root().content.version) {
      if (auto kept = keep(fs, folder, std::to_string(version) + ".root.json", content); !kept) {
        return kept;
      }
    }
  }
  const auto targets_version = set->targets()->content.version;
  const auto snapshot_version = set->snapshot()->content.version;
  const std::pair<std::string, const std::string&> rest[] = {
      {std::to_string(targets_version) + ".targets.json", set->targets()->bytes},
      {std::to_string(snapshot_version) + ".snapshot.json", set->snapshot()->bytes},
      {"timestamp.json", set->timestamp()->bytes}};
  for (const auto& [name, content] : rest) {
    if (auto kept = keep(fs, folder, name, content); !kept) {
      return kept;
    }
  }
  return forget_published(**repository, *set);
}

Result<NamedFiles> ready_to_publish(const tuf::Repository& repository) {
  const auto status = repository.status();
  if (!status) {
    return status.error();
  }
  NamedFiles files;
  for (const auto& role : status->roles) {
    if (role.role.is_delegated()) {
      return Error{Error::Code::kUnimplemented,
                   "this repository delegates to '" + role.role.text() +
                       "', and a controller serves no delegated roles: publish it with skerry repo "
                       "publish and serve its metadata folder"};
    }
    if (!role.staged_version ||
        (role.role != tuf::Role::kRoot && role.role != tuf::Role::kTargets)) {
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
    files.emplace_back(std::to_string(*role.staged_version) + "." + role.role.text() + ".json",
                       std::move(*bytes));
  }
  if (files.empty()) {
    return Error{Error::Code::kFailedPrecondition,
                 "nothing is staged: skerry repo add, or fleet push --sign"};
  }
  return files;
}

}  // namespace skerry::cli
