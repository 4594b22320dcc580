#include "skerry/registry/import_plan.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "skerry/registry/import_names.hpp"

#include "importers.hpp"

namespace skerry::registry {
namespace {

struct FormatName {
  ImportFormat format;
  std::string_view name;
};

constexpr std::array kFormats{FormatName{ImportFormat::kAuto, "auto"},
                              FormatName{ImportFormat::kGguf, "gguf"},
                              FormatName{ImportFormat::kOnnx, "onnx"},
                              FormatName{ImportFormat::kOllama, "ollama"},
                              FormatName{ImportFormat::kOlive, "olive"},
                              FormatName{ImportFormat::kOrtPackage, "ort"},
                              FormatName{ImportFormat::kOci, "oci"}};

bool any_file_ends_with(const SourceFolder& source, std::string_view ending) {
  return std::any_of(source.files().begin(), source.files().end(), [ending](const auto& entry) {
    return entry.path.ends_with(ending);
  });
}

// What a folder is, by the marks that its maker leaves.
Result<ImportFormat> detect(const SourceFolder& source) {
  if (source.find("oci-layout") != nullptr) {
    return ImportFormat::kOci;
  }
  if (source.has_folder("manifests") && source.has_folder("blobs")) {
    return ImportFormat::kOllama;
  }
  if (looks_like_ort_package(source)) {
    return ImportFormat::kOrtPackage;
  }
  if (looks_like_olive(source)) {
    return ImportFormat::kOlive;
  }
  if (any_file_ends_with(source, ".gguf")) {
    return ImportFormat::kGguf;
  }
  if (any_file_ends_with(source, ".onnx")) {
    return ImportFormat::kOnnx;
  }
  return Error{
      Error::Code::kNotFound,
      source.name() +
          " holds no model that is known here: no GGUF or ONNX file, no Ollama, Olive, ORT "
          "package or OCI layout"};
}

Result<ImportFormat> detect_file(FileSystem& fs, const std::filesystem::path& path) {
  auto file = fs.open(path, OpenMode::kRead);
  if (!file) {
    return file.error();
  }
  std::array<std::uint8_t, 4> magic{};
  const auto read = (*file)->read_at(0, magic);
  if (!read) {
    return read.error();
  }
  return *read == magic.size() && as_text(magic) == "GGUF" ? ImportFormat::kGguf
                                                           : ImportFormat::kOnnx;
}

Result<ImportPlan> plan_folder(FileSystem& fs,
                               const std::filesystem::path& folder,
                               const SourcePtr& source,
                               ImportFormat format,
                               const ImportRequest& request,
                               const std::string& only) {
  switch (format) {
    case ImportFormat::kGguf:
      return plan_gguf(source, only);
    case ImportFormat::kOnnx:
      return plan_onnx(source, only);
    case ImportFormat::kOllama:
      return plan_ollama(source, request.pick);
    case ImportFormat::kOlive:
      return plan_olive(source);
    case ImportFormat::kOrtPackage:
      return plan_ort_package(source, request.pick);
    default:
      return plan_oci(fs, folder, source->name(), request.pick);
  }
}

// Two files of one variant, or two shared ones, need two names.
Result<void> check_names(const ImportPlan& plan) {
  const auto check = [](const std::vector<ImportFile>& files) -> Result<void> {
    std::set<std::string_view> names;
    for (const ImportFile& file : files) {
      if (!names.insert(file.name).second) {
        return Error{Error::Code::kFailedPrecondition,
                     "two files would be called " + file.name + " (" + file.path +
                         " is one of them); rename one"};
      }
    }
    return {};
  };
  for (const ImportVariant& variant : plan.variants) {
    if (auto ok = check(variant.files); !ok) {
      return ok;
    }
  }
  return check(plan.shared);
}

}  // namespace

std::string_view to_string(ImportFormat format) noexcept {
  for (const FormatName& entry : kFormats) {
    if (entry.format == format) {
      return entry.name;
    }
  }
  return "unknown";
}

Result<ImportFormat> parse_import_format(std::string_view text) {
  std::string known;
  for (const FormatName& entry : kFormats) {
    if (entry.name == text) {
      return entry.format;
    }
    known += (known.empty() ? "" : ", ") + std::string{entry.name};
  }
  return Error{Error::Code::kInvalidArgument,
               "unknown format \"" + std::string{text} + "\"; known are " + known};
}

Result<ImportPlan> plan_import(FileSystem& fs,
                               const std::filesystem::path& source,
                               const ImportRequest& request) {
  const auto status = fs.status(source);
  if (!status) {
    return status.error();
  }
  const std::filesystem::path folder =
      status->is_directory ? source : (source.has_parent_path() ? source.parent_path() : ".");
  auto opened = SourceFolder::open(fs, folder, status->is_directory);
  if (!opened) {
    return opened.error();
  }
  auto format = Result<ImportFormat>{request.format};
  if (request.format == ImportFormat::kAuto) {
    format = status->is_directory ? detect(**opened) : detect_file(fs, source);
  }
  if (!format) {
    return format.error();
  }
  const std::string only = status->is_directory ? std::string{} : source.filename().string();
  const bool takes_file = *format == ImportFormat::kGguf || *format == ImportFormat::kOnnx;
  if (!only.empty() && !takes_file) {
    return Error{
        Error::Code::kInvalidArgument,
        source.string() + " is a file; " + std::string{to_string(*format)} + " models are folders"};
  }
  auto plan = plan_folder(fs, folder, *opened, *format, request, only);
  if (!plan) {
    return plan.error().with_context(to_string(*format));
  }
  plan->format = *format;
  plan->annotations.emplace("skerry.import.format", std::string{to_string(*format)});
  if (auto ok = check_names(*plan); !ok) {
    return ok.error();
  }
  return plan;
}

Result<ImportPlan> plan_files(const SourcePtr& source) {
  if (any_file_ends_with(*source, ".gguf")) {
    return plan_gguf(source, "");
  }
  if (any_file_ends_with(*source, ".onnx")) {
    return plan_onnx(source, "");
  }
  return Error{
      Error::Code::kNotFound,
      "none of the " + std::to_string(source->files().size()) + " files is a GGUF or ONNX model"};
}

Result<ImportFile> import_file(const SourcePtr& source,
                               FileRole role,
                               std::string_view path,
                               std::string name) {
  const SourceEntry* entry = source->find(path);
  if (entry == nullptr) {
    // Says whether it is missing or is a link.
    auto opened = source->open_file(path);
    return opened ? Error{Error::Code::kNotFound, std::string{path} + " is not there"}
                  : opened.error();
  }
  if (entry->size == 0) {
    return Error{Error::Code::kInvalidArgument, std::string{path} + " is empty"};
  }
  ImportFile file;
  file.role = role;
  file.name = std::move(name);
  file.path = entry->path;
  file.size = entry->size;
  file.open = [source, at = entry->path] { return source->open_file(at); };
  file.expected = source->expected(entry->path);
  return file;
}

FileRole role_of_companion(std::string_view path) {
  std::string name = source_name(path);
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (name == "model.sig" || name.ends_with(".sig")) {
    return FileRole::kSignature;
  }
  if (name.starts_with("license") || name.starts_with("licence") || name.starts_with("notice")) {
    return FileRole::kLicense;
  }
  if (name.ends_with(".md") || name.starts_with("readme")) {
    return FileRole::kCard;
  }
  if (name == "tokenizer.json" || name == "tokenizer.model" || name == "vocab.json" ||
      name == "vocab.txt" || name == "merges.txt") {
    return FileRole::kTokenizer;
  }
  return FileRole::kConfig;
}

Result<void> add_companions(const SourcePtr& source, ImportPlan& plan) {
  std::set<std::string, std::less<>> taken;
  for (const ImportVariant& variant : plan.variants) {
    for (const ImportFile& file : variant.files) {
      taken.insert(file.path);
    }
  }
  for (const ImportFile& file : plan.shared) {
    taken.insert(file.path);
  }
  const bool is_signed = source->find("model.sig") != nullptr;
  if (is_signed) {
    // A signature covers a closed set of files, and a link is none.
    if (auto ok = source->refuse_irregular(); !ok) {
      return ok;
    }
  }
  for (const SourceEntry& entry : source->files()) {
    if (taken.contains(entry.path) || entry.path.starts_with(".git/")) {
      continue;
    }
    const std::string name = source_name(entry.path);
    const bool unwanted = entry.size > ImportLimits::kExtraFile || name.front() == '.' ||
                          name.ends_with(".py") || entry.size == 0;
    if (unwanted && !(is_signed && entry.size != 0)) {
      plan.notes.push_back("left out: " + entry.path);
      continue;
    }
    if (plan.shared.size() == ManifestLimits::kSharedFiles) {
      if (is_signed) {
        return Error{Error::Code::kTooLarge,
                     "the signature covers more than " +
                         std::to_string(ManifestLimits::kSharedFiles) + " files beside the model"};
      }
      plan.notes.push_back("left out: " + entry.path + " and what follows");
      break;
    }
    auto file = import_file(
        source, role_of_companion(entry.path), entry.path, import_file_name(entry.path));
    if (!file) {
      return file.error();
    }
    plan.shared.push_back(std::move(*file));
  }
  return {};
}

Result<Json> read_source_json(const SourceFolder& source, std::string_view path) {
  const auto text = source.read(path, ImportLimits::kIndexBytes);
  if (!text) {
    return text.error();
  }
  auto json = Json::parse(*text);
  return json ? std::move(json) : json.error().with_context(path);
}

std::string unused_variant(const ImportPlan& plan, std::string name) {
  const auto used = [&plan](const std::string& candidate) {
    return std::any_of(plan.variants.begin(), plan.variants.end(), [&](const auto& variant) {
      return variant.name == candidate;
    });
  };
  if (!used(name)) {
    return name;
  }
  for (int number = 2;; ++number) {
    std::string numbered = name + "-" + std::to_string(number);
    if (!used(numbered)) {
      return numbered;
    }
  }
}

}  // namespace skerry::registry
