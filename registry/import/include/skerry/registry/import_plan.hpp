#pragma once

// What is to be imported, before a byte is copied: a model that another tool left on disk, as the
// files, variants and roles of a manifest. Reads indexes and headers only, trusts neither, and
// never leaves the folder (source_folder.hpp); who imports hashes and copies what the plan
// names. Formats and limits: docs/formats/import.md.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/manifest.hpp"

namespace skerry::registry {

enum class ImportFormat { kAuto, kGguf, kOnnx, kOllama, kOlive, kOrtPackage, kOci };

// "auto", "gguf", "onnx", "ollama", "olive", "ort", "oci".
std::string_view to_string(ImportFormat format) noexcept;
// kInvalidArgument lists the known ones.
Result<ImportFormat> parse_import_format(std::string_view text);

// One file of the model. `open` may be called more than once; it gives the bytes of the import,
// which for joined or unpacked files are in no single file of the source.
struct ImportFile {
  FileRole role = FileRole::kConfig;
  std::string name;  // in the manifest: one path component
  std::string path;  // in the source, for people
  std::uint64_t size = 0;
  std::function<Result<std::unique_ptr<File>>()> open;
  // What the source's own index says; the import fails if it is not so.
  std::optional<Digest> expected;
};

struct ImportVariant {
  std::string name;
  std::string format;   // "gguf", "onnx"
  std::string runtime;  // "llamacpp", "onnx"
  std::string accelerator = "cpu";
  // The first one is what the engine opens.
  std::vector<ImportFile> files;
};

struct ImportPlan {
  ImportFormat format = ImportFormat::kAuto;
  std::string name;  // a suggestion: a part of a model reference
  std::string description;
  std::vector<ImportVariant> variants;
  std::vector<ImportFile> shared;
  // Kept in the manifest: where it came from and what the source said about it.
  std::map<std::string, std::string, std::less<>> annotations;
  // For people: what was left out, and why.
  std::vector<std::string> notes;
};

struct ImportRequest {
  ImportFormat format = ImportFormat::kAuto;
  // Which model, where the source holds several: "llama3.2:1b" of an Ollama folder, a tag of an OCI
  // layout, a component of an ORT package.
  std::string pick;
};

struct ImportLimits {
  static constexpr std::size_t kIndexBytes = 4U << 20U;
  // A file that the model does not name is kept only up to this size, unless a signature covers it.
  static constexpr std::uint64_t kExtraFile = 16U << 20U;
};

// kModelFormat, kParse, kInvalidArgument or kFailedPrecondition say what is wrong and where;
// kNotFound if there is no model of that format, or none that `pick` names. Blocks. `fs` must
// outlive the plan.
Result<ImportPlan> plan_import(FileSystem& fs,
                               const std::filesystem::path& source,
                               const ImportRequest& request);

}  // namespace skerry::registry
