#pragma once

// The operator's working copy of the image repository: what the controller publishes is verified
// against the root at hand before anybody signs on top of it, so that a stolen controller cannot
// have old or foreign lists signed. Used by `skerry fleet push --sign` and `fleet publish`.

#include <string>
#include <utility>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/tuf/repository.hpp"

namespace skerry::cli {

// Served name ("2.targets.json") and content.
using NamedFiles = std::vector<std::pair<std::string, std::string>>;

// Verifies `published` by the rules that devices apply, starting from the working copy's own root,
// and keeps it. Staged files that have become the published ones are forgotten. Nothing published
// yet is fine. kRollback if it is older than what the working copy has seen.
Result<void> adopt_published(FileSystem& fs,
                             const std::filesystem::path& folder,
                             const NamedFiles& published,
                             WallTime now);

// The same for the director repository, of which operators keep the roots alone.
Result<void> adopt_roots(FileSystem& fs,
                         const std::filesystem::path& folder,
                         const NamedFiles& published,
                         WallTime now);

// The staged root, targets and delegated roles whose thresholds are met, as the controller's
// Publish wants them. kThresholdNotMet names the role and how many signatures it has;
// kFailedPrecondition if nothing is staged.
Result<NamedFiles> ready_to_publish(const security::tuf::Repository& repository);

}  // namespace skerry::cli
