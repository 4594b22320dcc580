#pragma once

// The bundle's folder as a source of blobs for the activation machines. Private to bundles and
// slots.

#include <memory>
#include <string>

#include "skerry/agent/model_source.hpp"
#include "skerry/common/file_system.hpp"

namespace skerry::agent {

// Serves the blobs of the layout in `folder` (a `ConfinedFolder`, or an archive) for as long as it
// can be read.
std::shared_ptr<ModelSource> make_bundle_source(std::string id, std::shared_ptr<FileSystem> folder);

// Stands for a bundle that is not plugged in (any more): everything is kUnavailable, and says what
// to do.
std::shared_ptr<ModelSource> make_absent_bundle(std::string id);

}  // namespace skerry::agent
