#pragma once

// Turns a model source and its derived variants into what can be pushed: a canonical manifest and
// content-addressed blobs. Used by `skerry model pack`.
//
//   <out>/manifest.json   <out>/blobs/sha256/<hex>   (files and their chunk indexes)

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/cli/model_source.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/manifest.hpp"

namespace skerry::cli {

// Measured figures by variant, as `skerry model evaluate --save` writes them:
// {"q8_0": {"accuracy": 0.97, …}, …}.
using QualityFigures = std::map<std::string, std::map<std::string, double, std::less<>>>;

// Beside derived weights: their digest and their recipe (registry/recipe.hpp), written by `skerry
// model quantize`.
inline constexpr std::string_view kRecipeSuffix = ".recipe";

struct PackOptions {
  std::filesystem::path derived;  // derived variants and quality.json
  std::filesystem::path out;
  // Empty or 0: as model.toml says.
  std::string version;
  std::uint64_t release_counter = 0;
  // Empty: all.
  std::vector<std::string> variants;
  // Files of prompts to pin (pinned_prompts.hpp).
  std::vector<std::string> prompts{};
};

struct PackedModel {
  registry::Manifest manifest;
  Digest digest;  // of manifest.json
  std::uint64_t blobs = 0;
  std::uint64_t bytes = 0;
};

// Checks every weights file (admission, the same check that devices make) before it is copied.
// Blobs that are there already are kept. manifest.json is written last.
Result<PackedModel> pack_model(FileSystem& fs,
                               const ModelSource& source,
                               const PackOptions& options);

// An empty map if there is no such file.
Result<QualityFigures> load_quality(FileSystem& fs, const std::filesystem::path& file);
Result<void> save_quality(FileSystem& fs,
                          const std::filesystem::path& file,
                          const QualityFigures& figures);

}  // namespace skerry::cli
