#pragma once

// How long what a repository signs stays good: the image repository's by default, longer for an
// offline one, whose bundles travel for months. `skerry repo init` writes it beside the metadata
// (<folder>/lifetimes.json, in days); the later commands read it.

#include <filesystem>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/tuf/repository.hpp"

namespace skerry::cli {

// Of `skerry repo init --offline`: nobody is online to sign a fresh timestamp.
security::tuf::RepositoryLifetimes offline_lifetimes();

// The defaults if the folder has no such file. kParse for one that is broken.
Result<security::tuf::RepositoryLifetimes> load_lifetimes(FileSystem& fs,
                                                          const std::filesystem::path& folder);
Result<void> save_lifetimes(FileSystem& fs,
                            const std::filesystem::path& folder,
                            const security::tuf::RepositoryLifetimes& lifetimes);

}  // namespace skerry::cli
