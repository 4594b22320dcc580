#pragma once

// Pins prompts with a packed model: `--pin-prompt FILE` of `skerry model pack`, `skerry fleet push`
// and `skerry repo add` (registry/pinned_prompts.hpp, ADR 0114).

#include <filesystem>
#include <string>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

namespace skerry::cli {

inline constexpr std::string_view kPinPromptHelp =
    "compute this on every gateway and keep it: a system message, or JSON messages (repeatable)";

// Makes `files` the pinned prompts of the packed model at `path`, its folder or its manifest.json,
// instead of those that it had. Without files nothing changes. Before the manifest is signed: its
// hash changes. A prompt is called like its file without what follows the last dot; one newline at
// its end is not part of it. kInvalidArgument or kManifestInvalid for what breaks a rule.
Result<void> pin_prompts(FileSystem& fs,
                         const std::filesystem::path& path,
                         const std::vector<std::string>& files);

}  // namespace skerry::cli
