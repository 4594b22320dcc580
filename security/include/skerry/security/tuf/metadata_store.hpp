#pragma once

// Where verified TUF metadata is kept, byte for byte, one store per repository (image, director,
// offline). The registry keeps it in registry.db; `DirectoryMetadataStore` in plain files, which
// tools and tests use.

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/tuf/metadata.hpp"

namespace skerry::security::tuf {

// One change; applied as a whole or not at all where the store can, else removals first (they go
// with a new root, and what must not be trusted any more must not stay), then the files in order.
struct MetadataUpdate {
  struct File {
    RoleName role = Role::kRoot;
    std::int64_t version = 0;
    std::string bytes;
  };
  std::vector<File> files;
  std::vector<RoleName> removed;
};

class MetadataStore {
 public:
  virtual ~MetadataStore() = default;
  // The trusted file of the role (of the highest version for root); none if there is none.
  [[nodiscard]] virtual Result<std::optional<std::string>> load(const RoleName& role) = 0;
  // Durable on return.
  virtual Result<void> commit(const MetadataUpdate& update) = 0;
};

// `<directory>/<role>.json` for the trusted file of each role, delegated ones percent-encoded, and
// the chain of roots as `<directory>/root-chain/<N>.root`.
class DirectoryMetadataStore final : public MetadataStore {
 public:
  // Makes the directory when the first file is committed.
  DirectoryMetadataStore(FileSystem& fs, std::filesystem::path directory);
  [[nodiscard]] Result<std::optional<std::string>> load(const RoleName& role) override;
  Result<void> commit(const MetadataUpdate& update) override;

 private:
  FileSystem& fs_;
  std::filesystem::path directory_;
};

}  // namespace skerry::security::tuf
