#include "skerry/controller/backup.hpp"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "skerry/common/digest.hpp"
#include "skerry/common/sqlite.hpp"
#include "skerry/controller/store.hpp"

#include "backup_list.hpp"

namespace skerry::controller {
namespace {

namespace stdfs = std::filesystem;

constexpr std::string_view kBackupList = "backup.json";
constexpr std::string_view kBackupFiles = "files";
constexpr std::size_t kCopyPiece = 1U << 20U;
constexpr int kMaxBackupDepth = 16;

Error not_a_backup(const std::string& why) {
  return Error{Error::Code::kParse, "not a backup of a controller: " + why};
}

Result<void> require_empty(FileSystem& fs, const stdfs::path& directory) {
  if (!fs.exists(directory)) {
    return fs.create_directories(directory, 0700);
  }
  const auto names = fs.list(directory);
  if (!names) {
    return names.error();
  }
  if (!names->empty()) {
    return Error{Error::Code::kAlreadyExists,
                 directory.string() + " is not empty (" + names->front() + ", …)"};
  }
  return {};
}

// Reads `from` to its end, gives each piece on, and names what was read.
Result<BackupEntry> read_through(FileSystem& fs,
                                 const stdfs::path& from,
                                 const std::function<Result<void>(std::uint64_t, ByteView)>& each) {
  auto file = fs.open(from, OpenMode::kRead);
  if (!file) {
    return file.error();
  }
  BackupEntry entry;
  Sha256 hash;
  Bytes piece(kCopyPiece);
  for (;;) {
    const auto got = (*file)->read_at(entry.size, piece);
    if (!got) {
      return got.error().with_context(from.string());
    }
    if (*got == 0) {
      break;
    }
    const ByteView bytes = ByteView{piece}.subspan(0, *got);
    hash.update(bytes);
    if (auto taken = each(entry.size, bytes); !taken) {
      return taken.error();
    }
    entry.size += *got;
  }
  entry.digest = hash.finish();
  return entry;
}

Result<BackupEntry> copy_file(FileSystem& fs,
                              const stdfs::path& from,
                              const stdfs::path& to,
                              std::uint32_t mode) {
  if (auto made = fs.create_directories(to.parent_path(), 0700); !made) {
    return made.error();
  }
  auto out = fs.open(to, OpenMode::kCreateExclusive, mode);
  if (!out) {
    return out.error();
  }
  auto entry = read_through(fs, from, [&](std::uint64_t offset, ByteView bytes) {
    return (*out)->write_at(offset, bytes);
  });
  if (!entry) {
    return entry;
  }
  if (auto synced = (*out)->sync(); !synced) {
    return synced.error();
  }
  if (auto named = fs.sync_directory(to.parent_path()); !named) {
    return named.error();
  }
  return entry;
}

// Every file below `root` but what a running controller makes anew, in order.
Result<void> list_files(FileSystem& fs,
                        const stdfs::path& root,
                        const std::string& prefix,
                        int depth,
                        std::vector<std::string>& out) {
  if (depth > kMaxBackupDepth) {
    return Error{Error::Code::kTooLarge, prefix + " is nested too deeply"};
  }
  const auto names = fs.list(root / prefix);
  if (!names) {
    return names.error();
  }
  for (const auto& name : *names) {
    const std::string path = prefix.empty() ? name : prefix + "/" + name;
    const bool transient =
        path == "lock" || path == "blobs/staging" || name.find(".tmp-") != std::string::npos;
    const bool database = prefix.empty() && name.starts_with("controller.db");
    if (transient || database) {
      continue;
    }
    const auto status = fs.status(root / path);
    if (!status) {
      return status.error();
    }
    if (!status->is_directory) {
      out.push_back(path);
    } else if (auto listed = list_files(fs, root, path, depth + 1, out); !listed) {
      return listed;
    }
  }
  return {};
}

// A backup that cannot sign is none.
Result<void> require_own_keys(const Settings& settings) {
  const std::string inside = "file:" + settings.state_directory().string() + "/";
  const IdentityConfig& identity = settings.identity();
  for (const auto& [key, name] : {std::pair{&identity.ca_key, "identity.ca_key"},
                                  std::pair{&identity.server_key, "identity.server_key"},
                                  std::pair{&identity.online_key, "identity.online_key"},
                                  std::pair{&identity.audit_key, "identity.audit_key"}}) {
    if (!key->starts_with(inside)) {
      return Error{Error::Code::kFailedPrecondition,
                   std::string{name} + " is " + *key +
                       ", outside the state directory: this backup would not contain it; keep that "
                       "key by its own means and copy the state directory while the controller is "
                       "stopped"};
    }
  }
  return {};
}

Result<void> copy_database(const Settings& settings, const stdfs::path& to) {
  const std::string target = to.string();
  if (target.find('\'') != std::string::npos) {
    return Error{Error::Code::kInvalidArgument, "the path must not hold quotes: " + target};
  }
  auto database = sqlite::Database::open(settings.store().connection, {}, {});
  if (!database) {
    return database.error();
  }
  return (*database)->exec("VACUUM INTO '" + target + "'");
}

Result<void> write_list(FileSystem& fs,
                        const stdfs::path& target,
                        WallTime taken,
                        const std::vector<BackupEntry>& entries) {
  return write_file_atomic(fs, target / kBackupList, serialise_backup_list({taken, entries}), 0600);
}

Result<BackupList> read_list(FileSystem& fs, const stdfs::path& source) {
  if (!fs.exists(source / kBackupList)) {
    return not_a_backup(source.string() + " has no " + std::string{kBackupList} +
                        "; it may have been cut off");
  }
  const auto text = read_file(fs, source / kBackupList, kMaxBackupList);
  if (!text) {
    return text.error();
  }
  return parse_backup_list(*text);
}

Result<void> compare(const BackupEntry& wanted, const BackupEntry& found) {
  if (found.size != wanted.size || found.digest != wanted.digest) {
    return Error{Error::Code::kDigestMismatch,
                 wanted.path + " is not what was saved: the backup is damaged"};
  }
  return {};
}

BackupReport report_of(const BackupList& list) {
  BackupReport report{list.entries.size(), 0, list.taken};
  for (const auto& entry : list.entries) {
    report.bytes += entry.size;
  }
  return report;
}

}  // namespace

Result<BackupReport> make_backup(FileSystem& fs,
                                 const Clock& clock,
                                 const Settings& settings,
                                 const stdfs::path& target) {
  if (auto own = require_own_keys(settings); !own) {
    return own.error();
  }
  if (auto empty = require_empty(fs, target); !empty) {
    return empty.error().with_context("the backup's folder");
  }
  const stdfs::path files = target / kBackupFiles;
  if (auto made = fs.create_directories(files, 0700); !made) {
    return made.error();
  }
  BackupList list;
  list.taken = clock.wall_now();
  // First the database: what it names is in the files that are copied after it.
  if (auto copied = copy_database(settings, files / "controller.db"); !copied) {
    return copied.error().with_context("copying the database");
  }
  auto database = read_through(
      fs, files / "controller.db", [](std::uint64_t, ByteView) { return Result<void>{}; });
  if (!database) {
    return database.error();
  }
  database->path = "controller.db";
  list.entries.push_back(std::move(*database));
  std::vector<std::string> names;
  if (auto listed = list_files(fs, settings.state_directory(), "", 0, names); !listed) {
    return listed.error();
  }
  for (const auto& name : names) {
    auto entry = copy_file(fs, settings.state_directory() / name, files / name, 0600);
    if (!entry) {
      return entry.error().with_context("copying " + name);
    }
    entry->path = name;
    list.entries.push_back(std::move(*entry));
  }
  if (auto kept = write_list(fs, target, list.taken, list.entries); !kept) {
    return kept.error();
  }
  return report_of(list);
}

Result<BackupReport> check_backup(FileSystem& fs, const stdfs::path& source) {
  const auto list = read_list(fs, source);
  if (!list) {
    return list.error();
  }
  for (const auto& entry : list->entries) {
    const auto found = read_through(fs,
                                    source / kBackupFiles / entry.path,
                                    [](std::uint64_t, ByteView) { return Result<void>{}; });
    if (!found) {
      return found.error();
    }
    if (auto same = compare(entry, *found); !same) {
      return same.error();
    }
  }
  return report_of(*list);
}

Result<BackupReport> restore_backup(FileSystem& fs,
                                    const Settings& settings,
                                    const stdfs::path& source) {
  const auto list = read_list(fs, source);
  if (!list) {
    return list.error();
  }
  const stdfs::path& state = settings.state_directory();
  if (auto empty = require_empty(fs, state); !empty) {
    return empty.error().with_context("state.directory");
  }
  if (auto marked = write_file_atomic(fs, state / kRestoreMark, "", 0600); !marked) {
    return marked.error();
  }
  for (const auto& entry : list->entries) {
    // Blobs are immutable where they are served from.
    const std::uint32_t mode = entry.path.starts_with("blobs/") ? 0440 : 0600;
    const auto copied = copy_file(fs, source / kBackupFiles / entry.path, state / entry.path, mode);
    if (!copied) {
      return copied.error().with_context("restoring " + entry.path);
    }
    if (auto same = compare(entry, *copied); !same) {
      return same.error();
    }
  }
  {
    auto store = Store::open(settings.store().backend, settings.store().connection);
    if (!store) {
      return store.error();
    }
    if (auto reset = (*store)->reset_nonces(); !reset) {
      return reset.error();
    }
  }
  if (auto complete = fs.remove(state / kRestoreMark); !complete) {
    return complete.error();
  }
  if (auto durable = fs.sync_directory(state); !durable) {
    return durable.error();
  }
  return report_of(*list);
}

}  // namespace skerry::controller
