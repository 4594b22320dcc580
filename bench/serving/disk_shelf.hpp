#pragma once

// The daemon's store of prefixes as a shelf for a benchmark's own supervisor, in a folder of its
// own that goes with it. Everything happens on the benchmark's thread.

#include <filesystem>
#include <memory>

#include "skerry/common/clock.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/runtime/prefix_shelf.hpp"

namespace skerry::agent {
class PrefixStore;
}  // namespace skerry::agent

namespace skerry::bench {

class DiskShelf final : public runtime::PrefixShelf {
 public:
  DiskShelf();
  ~DiskShelf() override;
  DiskShelf(const DiskShelf&) = delete;
  DiskShelf& operator=(const DiskShelf&) = delete;

  // As a daemon that starts: reads what is there.
  void reopen();
  [[nodiscard]] std::uint64_t saved() const;
  [[nodiscard]] std::uint64_t hits() const;

  [[nodiscard]] std::uint64_t largest() const override;
  Task<void> save(Digest model, runtime::PrefixState state, runtime::PrefixBytes bytes) override;
  Task<std::optional<Found>> find(Digest model,
                                  std::string format,
                                  std::vector<Digest> names) override;
  void drop(const Digest& model, const Digest& name) override;

 private:
  SystemFileSystem fs_;
  SystemClock clock_;
  std::filesystem::path folder_;
  std::unique_ptr<agent::PrefixStore> store_;
};

}  // namespace skerry::bench
