#pragma once

// What a weights file is and needs: the admission check with a summary for people, and the memory
// that PREFLIGHT will ask for. Used by `skerry model check` and `pack`.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "skerry/common/file_system.hpp"
#include "skerry/common/json.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/manifest.hpp"

namespace skerry::cli {

struct WeightsSummary {
  std::string format;  // "gguf", "onnx", "openai"
  std::uint64_t ram_bytes = 0;
  Json details;
};

// Whether Skerry itself reads the format. Another belongs to the plugin of that name alone.
bool inspects_format(std::string_view format);

// By the first bytes of the file, not its name. kModelFormat says what is wrong and where.
Result<WeightsSummary> inspect_weights(FileSystem& fs,
                                       const std::filesystem::path& path,
                                       const registry::ActivationOptions& activation);
// The same for an open file; `external_files` are those that an ONNX model may name, with sizes.
Result<WeightsSummary> inspect_weights(File& file,
                                       const registry::ActivationOptions& activation,
                                       const std::map<std::string, std::uint64_t>& external_files);

}  // namespace skerry::cli
