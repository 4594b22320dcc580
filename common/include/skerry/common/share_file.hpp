#pragma once

// A second name for a file's bytes without copying them: a hard link, else a reflink. Used where
// bundles and layouts are made of blobs that never change.

#include <filesystem>

#include "skerry/common/result.hpp"

namespace skerry {

// Makes `to`, which must not exist. False where neither can be had (two file systems, FAT): copy it
// then; nothing is left behind. A link is not durable before its folder is synced.
Result<bool> share_file(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace skerry
