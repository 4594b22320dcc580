#pragma once

// Keeps verified TUF metadata in the catalogue, byte for byte: one update is one transaction, so
// the trusted set never mixes two states. The agent hands it to `security::tuf::Client`.

#include <memory>
#include <string>

#include "skerry/common/result.hpp"
#include "skerry/registry/catalogue.hpp"
#include "skerry/security/tuf/metadata_store.hpp"

namespace skerry::registry {

// `repository` is "image", "director" or "offline". Every root version is kept; of the other roles
// the newest. Thread-safe; `catalogue` must outlive it.
std::unique_ptr<security::tuf::MetadataStore> make_metadata_store(Catalogue& catalogue,
                                                                  std::string repository);

}  // namespace skerry::registry
