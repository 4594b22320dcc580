#include "decommission.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "skerry/common/json.hpp"

namespace skerry::agent {
namespace {

constexpr std::string_view kEndingFile = "decommission.json";
constexpr std::string_view kEndedFile = "decommissioned.json";
// Held by this process until it ends.
constexpr std::string_view kLockFile = "skerryd.lock";
constexpr int kMaxWipeDepth = 64;

// On a disk that writes in place the bytes are gone; on flash this is the best a file system
// offers, and encryption at rest is what makes it final.
Result<void> overwrite(FileSystem& fs, const std::filesystem::path& path) {
  Result<std::unique_ptr<File>> file = fs.open(path, OpenMode::kReadWrite);
  if (!file) {
    return file.error();
  }
  Result<FileStatus> status = (*file)->status();
  if (!status) {
    return status.error();
  }
  const Bytes zeros(static_cast<std::size_t>(std::min<std::uint64_t>(status->size, 1U << 20U)), 0);
  if (Result<void> written = (*file)->write_at(0, zeros); !written) {
    return written;
  }
  return (*file)->sync();
}

Result<void> wipe_folder(FileSystem& fs,
                         const std::filesystem::path& folder,
                         bool shred,
                         int depth);

Result<void> wipe_entry(FileSystem& fs, const std::filesystem::path& path, bool shred, int depth) {
  Result<FileStatus> status = fs.status(path);
  if (status && status->is_directory) {
    if (Result<void> emptied = wipe_folder(fs, path, shred, depth + 1); !emptied) {
      return emptied;
    }
  } else if (status && shred) {
    if (Result<void> shredded = overwrite(fs, path); !shredded) {
      return shredded;
    }
  }
  return fs.remove(path);
}

Result<void> wipe_folder(FileSystem& fs,
                         const std::filesystem::path& folder,
                         bool shred,
                         int depth) {
  if (depth > kMaxWipeDepth) {
    return Error{Error::Code::kTooLarge, folder.string() + " is nested too deeply"};
  }
  Result<std::vector<std::string>> names = fs.list(folder);
  if (!names) {
    return names.error();
  }
  for (const std::string& name : *names) {
    if (Result<void> gone = wipe_entry(fs, folder / name, shred, depth); !gone) {
      return gone;
    }
  }
  return fs.sync_directory(folder);
}

}  // namespace

Result<void> begin_decommission(FileSystem& fs,
                                const std::filesystem::path& state_dir,
                                const Decommission& decommission) {
  const Json document = Json::Object{{"order_id", decommission.order_id},
                                     {"reason", decommission.reason},
                                     {"by", decommission.by},
                                     {"at", to_rfc3339(decommission.at)}};
  return write_file_atomic(fs, state_dir / kEndingFile, document.dump_pretty() + "\n", 0600);
}

LifeStage life_stage(const FileSystem& fs, const std::filesystem::path& state_dir) {
  if (fs.exists(state_dir / kEndingFile)) {
    return LifeStage::kEnding;
  }
  return fs.exists(state_dir / kEndedFile) ? LifeStage::kEnded : LifeStage::kAlive;
}

Result<void> finish_decommission(FileSystem& fs, const std::filesystem::path& state_dir) {
  // Whoever can use an identity or read what is sealed needs one of these.
  for (const char* secret : {"store.key", "keys", "identity.json", "tokens.json", "sync-nonce"}) {
    if (!fs.exists(state_dir / secret)) {
      continue;
    }
    if (Result<void> gone = wipe_entry(fs, state_dir / secret, true, 0); !gone) {
      return gone.error().with_context("deleting keys");
    }
  }
  if (Result<void> durable = fs.sync_directory(state_dir); !durable) {
    return durable;
  }
  Result<std::vector<std::string>> names = fs.list(state_dir);
  if (!names) {
    return names.error();
  }
  for (const std::string& name : *names) {
    if (name == kEndingFile || name == kLockFile) {
      continue;
    }
    if (Result<void> gone = wipe_entry(fs, state_dir / name, false, 0); !gone) {
      return gone.error().with_context("deleting data");
    }
  }
  if (Result<void> durable = fs.sync_directory(state_dir); !durable) {
    return durable;
  }
  if (Result<void> ended = fs.rename(state_dir / kEndingFile, state_dir / kEndedFile); !ended) {
    return ended;
  }
  return fs.sync_directory(state_dir);
}

}  // namespace skerry::agent
