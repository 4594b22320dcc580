#pragma once

// States of prefixes in a folder: bounded, authenticated, lost without harm. Writes what workers
// hand over, reads it back for later workers, knows after a restart what is there. Never fails:
// what cannot be written is not kept, what cannot be read is dropped, and where the disk is full or
// broken it rests for a while. Flash wears out: in a day it writes four times its budget at most,
// and its budget at once. ADR 0103.
//
// Thread-safe. `look` and `counts` never wait for the disk; the others block for it.

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/log.hpp"
#include "skerry/runtime/prefix_shelf.hpp"

#include "prefix_index.hpp"

namespace skerry::agent {

class PrefixStore {
 public:
  struct Options {
    std::filesystem::path folder;
    std::uint64_t budget = 0;   // bytes of all files
    std::uint64_t reserve = 0;  // bytes that stay free on the file system
    Bytes key;                  // 32
  };
  struct Counts {
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
    std::uint64_t saved = 0;
    // Went: for room, unreadable, refused by an engine, of a model that is gone.
    std::uint64_t dropped = 0;
    std::uint64_t bytes = 0;
    std::uint64_t states = 0;
    std::uint64_t pinned = 0;  // of them, those of pinned prompts
    std::uint64_t budget = 0;
    bool resting = false;
  };

  PrefixStore(FileSystem& fs, const Clock& clock, Log log, Options options);

  // Removes all that an earlier configuration kept.
  static void remove_all(FileSystem& fs, const std::filesystem::path& folder);

  // Reads what is there; files that are not whole ones of this key go. Once, before the others.
  void open();
  void save(const Digest& model,
            const runtime::PrefixState& state,
            const runtime::PrefixBytes& bytes);
  // Which state to read, if any.
  std::optional<PrefixIndex::Match> look(const Digest& model,
                                         const std::string& format,
                                         const std::vector<Digest>& names);
  std::optional<runtime::PrefixShelf::Found> read(const PrefixIndex::Match& match);
  void drop(const Digest& model, const Digest& name);
  // As PrefixShelf::hold. Never waits for the disk.
  void hold(const Digest& model, const Digest& name);
  // Those of models that are gone go.
  void retain(const std::function<bool(const Digest&)>& is_there);

  [[nodiscard]] std::uint64_t budget() const { return options_.budget; }
  [[nodiscard]] Counts counts() const;

 private:
  [[nodiscard]] bool resting() const;
  // Whether so many bytes may be written now.
  bool may_write(std::uint64_t bytes);
  void rest(const Error& why);
  // Files that the index does not name any more.
  void remove(const PrefixIndex::Files& files);
  Result<ShelvedState> read_head(const std::string& name);
  Result<void> write(const ShelvedState& state, int bytes);

  FileSystem& fs_;
  const Clock& clock_;
  Log log_;
  Options options_;

  mutable std::mutex mutex_;
  PrefixIndex index_;
  Counts counts_;
  std::optional<BootTime> rests_until_;
  double allowance_;  // bytes, as of `refilled_`
  BootTime refilled_;
  std::atomic<std::uint64_t> written_{0};
};

}  // namespace skerry::agent
