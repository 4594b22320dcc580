#pragma once

// Pieces of POSIX shared memory that local clients lend for their tensors, so that these need not
// go through the socket (SystemSharedMemory* of the KServe service). A region belongs to the
// principal that named it, is a regular file of /dev/shm that the same user owns, and is read and
// written by pread and pwrite: a client that cuts the file short gets an error, the daemon no
// SIGBUS (ADR 0118). Plain values and descriptors; used on the control thread, apart from
// Region's own functions.

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/result.hpp"
#include "skerry/common/unique_fd.hpp"
#include "skerry/security/principal.hpp"

namespace skerry::agent {

class SharedRegions {
 public:
  struct Limits {
    std::size_t regions = 512;  // of everybody
    std::size_t regions_of_one = 64;
    std::uint64_t bytes_of_one = 1ULL << 30U;
  };

  // What a client asks for: `bytes` from `offset` of the object `key`, under a name of its own.
  struct Facts {
    std::string name;
    std::string key;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
  };

  // Stays usable after it was removed, for whoever still holds it. Thread-safe; its functions copy
  // memory and may take milliseconds.
  class Region {
   public:
    Region(UniqueFd file, Facts facts) : file_(std::move(file)), facts_(std::move(facts)) {}
    [[nodiscard]] const Facts& facts() const { return facts_; }
    // kInvalidArgument if offset and size do not lie in the region; kFailedPrecondition if the
    // object was cut short since.
    [[nodiscard]] Result<std::string> read(std::uint64_t offset, std::uint64_t bytes) const;
    [[nodiscard]] Result<void> write(std::uint64_t offset, std::string_view data) const;

   private:
    [[nodiscard]] Result<void> check(std::uint64_t offset, std::uint64_t bytes) const;

    UniqueFd file_;
    Facts facts_;
  };
  using RegionPtr = std::shared_ptr<const Region>;

  // `folder`: where POSIX shared memory lies.
  explicit SharedRegions(std::filesystem::path folder = "/dev/shm") : folder_(std::move(folder)) {}
  SharedRegions(std::filesystem::path folder, Limits limits)
      : folder_(std::move(folder)), limits_(limits) {}

  // kPermissionDenied if the caller is no local user or does not own the object, kNotFound,
  // kAlreadyExists, kResourceExhausted, kInvalidArgument. Opens a file of a memory file system:
  // does not block.
  Result<void> add(const security::Principal& principal, Facts facts);
  // Nothing happens if there is none. An empty name: all of the principal.
  void remove(const security::Principal& principal, const std::string& name);
  // An empty name: all of the principal; otherwise kNotFound if there is none.
  [[nodiscard]] Result<std::vector<Facts>> list(const security::Principal& principal,
                                                const std::string& name) const;
  [[nodiscard]] Result<RegionPtr> find(const security::Principal& principal,
                                       const std::string& name) const;

 private:
  using Owned = std::map<std::string, RegionPtr>;
  [[nodiscard]] Result<UniqueFd> open(const security::Principal& principal,
                                      const Facts& facts) const;
  [[nodiscard]] std::size_t count() const;

  std::filesystem::path folder_;
  Limits limits_;
  std::map<std::string, Owned> owners_;  // by principal
};

}  // namespace skerry::agent
