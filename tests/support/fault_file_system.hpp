#pragma once

// A `FileSystem` over a real folder that can fail on demand and forget what was not synced. Tests
// of everything that writes use it in three ways: make the k-th changing operation fail, fill the
// disk, and cut the power at the k-th operation and look at what a disk would hold then.
//
//   for (std::uint64_t k = 0;; ++k) {
//     TempDir dir;
//     FaultFileSystem fs{dir.path()};
//     fs.fail_at(k, Fault::kPowerCut);
//     run_scenario(fs);
//     if (!fs.fired()) break;              // the scenario has fewer than k operations
//     fs.restart(Loss::kUnsynced);
//     reopen_and_check_invariants(fs);
//   }
//
// What is modelled: a file's bytes are durable after `sync`, a name (creation, rename, removal)
// after `sync_directory` of its folder; folders themselves are durable at once. Thread-safe.

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "skerry/common/file_system.hpp"

namespace skerry::test {

enum class Fault {
  kIoError,     // kIo, nothing done
  kNoSpace,     // kNoSpace; a write leaves its first half
  kQuota,       // the same, by EDQUOT
  kShortWrite,  // kIo; a write leaves its first half
  kPowerCut     // this operation and all later ones fail until `restart`
};

enum class Loss {
  kUnsynced,  // everything that was not synced is gone
  kTorn,      // of appended, unsynced bytes the first half survived; names survived
  kNothing    // only the process died: all that was written is there
};

class FaultFileSystem final : public FileSystem {
 public:
  // `root` exists; what it holds now counts as durable.
  explicit FaultFileSystem(std::filesystem::path root);
  ~FaultFileSystem() override;

  // The k-th changing operation from now on (0 is the next) fails once; with `until_cleared` every
  // one from the k-th on.
  void fail_at(std::uint64_t k, Fault fault, bool until_cleared = false);
  void clear();
  [[nodiscard]] bool fired() const;
  // Changing operations so far: open for writing that creates, write, allocate, truncate, sync,
  // set_mode, create_directories, rename, remove, sync_directory.
  [[nodiscard]] std::uint64_t operations() const;
  // Counts an operation of another layer (SQLite's, by `FaultVfs::follow`) among those here and
  // returns the fault that it meets, so that one number k runs over both.
  std::optional<Fault> count_operation();
  // Brings the folder to what survived, and clears the fault. Files opened before are dead.
  void restart(Loss loss);

  Result<std::unique_ptr<File>> open(const std::filesystem::path& path,
                                     OpenMode mode,
                                     std::uint32_t mode_bits) override;
  [[nodiscard]] Result<FileStatus> status(const std::filesystem::path& path) const override;
  Result<void> create_directories(const std::filesystem::path& path,
                                  std::uint32_t mode_bits) override;
  Result<void> rename(const std::filesystem::path& from,
                      const std::filesystem::path& to,
                      bool no_replace) override;
  Result<void> remove(const std::filesystem::path& path) override;
  Result<void> sync_directory(const std::filesystem::path& directory) override;
  [[nodiscard]] Result<std::vector<std::string>> list(
      const std::filesystem::path& directory) const override;
  [[nodiscard]] Result<std::uint64_t> free_space(const std::filesystem::path& path) const override;

 private:
  friend class FaultFile;
  // One file, whatever its name: what of it would survive.
  struct Node {
    std::string synced;
    std::uint32_t mode = 0640;
  };
  using Names = std::map<std::string, std::shared_ptr<Node>>;

  // The fault that the next changing operation meets, if any.
  std::optional<Fault> next_fault();
  Result<void> refuse(Fault fault, const std::filesystem::path& path) const;
  [[nodiscard]] std::string key(const std::filesystem::path& path) const;

  SystemFileSystem system_;
  std::filesystem::path root_;
  mutable std::recursive_mutex mutex_;
  Names current_;
  Names durable_;
  std::uint64_t operations_ = 0;
  std::uint64_t generation_ = 0;
  std::optional<std::uint64_t> fail_at_;
  Fault fault_ = Fault::kIoError;
  bool until_cleared_ = false;
  bool power_cut_ = false;
  bool fired_ = false;
};

}  // namespace skerry::test
