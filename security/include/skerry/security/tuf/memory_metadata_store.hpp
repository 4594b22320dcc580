#pragma once

// Trusted metadata for as long as the object lives: for tools that look at a repository or a bundle
// without keeping anything of it.

#include <map>

#include "skerry/security/tuf/metadata_store.hpp"

namespace skerry::security::tuf {

class MemoryMetadataStore final : public MetadataStore {
 public:
  [[nodiscard]] Result<std::optional<std::string>> load(const RoleName& role) override {
    const auto found = files_.find(role);
    return found == files_.end() ? std::optional<std::string>{} : std::optional{found->second};
  }
  Result<void> commit(const MetadataUpdate& update) override {
    for (const RoleName& role : update.removed) {
      files_.erase(role);
    }
    for (const MetadataUpdate::File& file : update.files) {
      files_.insert_or_assign(file.role, file.bytes);
    }
    return {};
  }

 private:
  std::map<RoleName, std::string> files_;
};

}  // namespace skerry::security::tuf
