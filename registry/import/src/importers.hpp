#pragma once

// What the importers share: one function per format, and how files of a folder become files of a
// plan. Private to plan_import.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/json.hpp"
#include "skerry/registry/import_plan.hpp"
#include "skerry/registry/source_folder.hpp"

namespace skerry::registry {

using SourcePtr = std::shared_ptr<const SourceFolder>;

// `only`: the one file that was named, or empty for all of the folder.
Result<ImportPlan> plan_gguf(const SourcePtr& source, const std::string& only);
Result<ImportPlan> plan_onnx(const SourcePtr& source, const std::string& only);
Result<ImportPlan> plan_ollama(const SourcePtr& source, const std::string& pick);
Result<ImportPlan> plan_olive(const SourcePtr& source);
Result<ImportPlan> plan_ort_package(const SourcePtr& source, const std::string& pick);

Result<ImportPlan> plan_oci(FileSystem& fs,
                            const std::filesystem::path& folder,
                            const std::string& name,
                            const std::string& pick);
// The same over any file system with a layout at its root; `scratch` is what compressed layers are
// unpacked into.
Result<ImportPlan> plan_oci_layout(FileSystem& scratch,
                                   std::shared_ptr<FileSystem> folder,
                                   const std::string& name,
                                   const std::string& pick);
// GGUF or ONNX, whatever the files are.
Result<ImportPlan> plan_files(const SourcePtr& source);

// True if `manifest.json` is that of an ORT model package; an Olive run leaves its own marks.
bool looks_like_ort_package(const SourceFolder& source);
bool looks_like_olive(const SourceFolder& source);

// A file of the folder, as it is. kInvalidArgument for an empty one: a blob has at least one byte.
Result<ImportFile> import_file(const SourcePtr& source,
                               FileRole role,
                               std::string_view path,
                               std::string name);

// The model at `path` with the external data that it names, which lies in `data_folder`; checked by
// the admission parser.
Result<ImportVariant> onnx_variant(const SourcePtr& source,
                                   const std::string& path,
                                   const std::string& data_folder,
                                   std::string variant);

// Adds what lies beside the model and no variant names: licences, cards, tokenizers, a signature.
// With a signature everything is taken, since a signature covers a closed set of files.
Result<void> add_companions(const SourcePtr& source, ImportPlan& plan);

// A JSON document of the source; kParse names the file.
Result<Json> read_source_json(const SourceFolder& source, std::string_view path);

// "licence", "card" … by the file's name.
FileRole role_of_companion(std::string_view path);

// Appends "-2", "-3" … until no variant has that name.
std::string unused_variant(const ImportPlan& plan, std::string name);

}  // namespace skerry::registry
