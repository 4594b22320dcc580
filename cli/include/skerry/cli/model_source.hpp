#pragma once

// `model.toml`: what a maker of models writes beside the weights, from which variants are derived,
// measured and packed (docs/formats/model-toml.md). Used by `skerry model quantize|evaluate|pack`.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/manifest.hpp"

namespace skerry::cli {

struct SourceVariant {
  std::string name;
  // Exactly one of the two: a file beside model.toml, or a type to derive from the base variant.
  std::string file;
  std::string quantize;
  std::string format;   // "gguf", "onnx"
  std::string runtime;  // "llamacpp", "onnx"
  std::string accelerator = "cpu";
  std::vector<std::string> arch;
  std::vector<std::string> isa;
  // 0: estimated from the file.
  std::uint64_t ram_bytes = 0;
};

struct ModelSource {
  std::filesystem::path folder;
  registry::ModelName model;
  registry::SemanticVersion version;
  std::uint64_t release_counter = 1;
  std::string description;
  std::vector<SourceVariant> variants;
  std::vector<std::string> prefer;
  registry::ActivationOptions activation;
  // Relative to `folder`; empty: none. Golden set and card are packed, the others are for making.
  std::string golden;
  std::string card;
  std::string evaluation;
  std::string calibration;

  // The variant that others are derived from: the first one with a file of its own.
  [[nodiscard]] const SourceVariant& base() const;
  // Where a variant's weights are; derived ones lie in `derived` as "<name>-<variant>.<format>".
  [[nodiscard]] std::filesystem::path weights_of(const SourceVariant& variant,
                                                 const std::filesystem::path& derived) const;
};

// Reads `<folder>/model.toml`, or that file itself. kConfigInvalid with file and line.
Result<ModelSource> load_model_source(FileSystem& fs, const std::filesystem::path& path);

}  // namespace skerry::cli
