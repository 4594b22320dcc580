#include "skerry/registry/manifest.hpp"

#include <algorithm>
#include <set>

#include "skerry/common/json.hpp"

#include "manifest_rules.hpp"

namespace skerry::registry {
namespace {

Json texts(const std::vector<std::string>& values) {
  Json::Array out;
  out.reserve(values.size());
  for (const auto& value : values) {
    out.emplace_back(value);
  }
  return out;
}

Json files_json(const std::vector<ManifestFile>& files) {
  Json::Array out;
  for (const auto& file : files) {
    out.emplace_back(Json::Object{
        {"digest", file.digest.to_string()}, {"name", file.name}, {"role", to_string(file.role)}});
  }
  return out;
}

Json variant_json(const Variant& variant) {
  Json::Object needs{{"accelerator", variant.needs.accelerator}, {"ram", variant.needs.ram_bytes}};
  if (variant.needs.disk_bytes != 0) {
    needs.emplace("disk", variant.needs.disk_bytes);
  }
  if (!variant.needs.arch.empty()) {
    needs.emplace("arch", texts(variant.needs.arch));
  }
  if (!variant.needs.isa.empty()) {
    needs.emplace("isa", texts(variant.needs.isa));
  }
  Json::Object runtime{{"min_version", variant.needs.runtime_min_version.to_string()},
                       {"plugin", variant.needs.runtime}};
  Json::Object out{{"files", files_json(variant.files)},
                   {"format", variant.format},
                   {"name", variant.name},
                   {"needs", std::move(needs)},
                   {"runtime", std::move(runtime)}};
  if (!variant.quality.empty()) {
    Json::Object quality;
    for (const auto& [key, value] : variant.quality) {
      quality.emplace(key, value);
    }
    out.emplace("quality", std::move(quality));
  }
  return out;
}

Json activation_json(const ActivationOptions& options) {
  const ActivationOptions defaults;
  Json::Object out{{"probation_seconds", options.probation_seconds}};
  if (options.probation_requests != defaults.probation_requests) {
    out.emplace("probation_requests", options.probation_requests);
  }
  if (options.context_length != defaults.context_length) {
    out.emplace("context_length", options.context_length);
  }
  if (options.max_sequences != defaults.max_sequences) {
    out.emplace("max_sequences", options.max_sequences);
  }
  if (options.swap_mode != defaults.swap_mode) {
    out.emplace("swap_mode", to_string(options.swap_mode));
  }
  if (options.golden_min_pass != defaults.golden_min_pass) {
    out.emplace("golden_min_pass", options.golden_min_pass);
  }
  if (options.golden_min_tokens_per_second != defaults.golden_min_tokens_per_second) {
    out.emplace("golden_min_tokens_per_second", options.golden_min_tokens_per_second);
  }
  return out;
}

Json layer_json(const ManifestFile& file) {
  return Json::Object{
      {"annotations",
       Json::Object{{std::string{kChunkSizeAnnotation}, std::to_string(file.chunk_size)},
                    {std::string{kChunksAnnotation}, file.chunks.to_string()},
                    {std::string{kPathAnnotation}, file.name}}},
      {"digest", file.digest.to_string()},
      {"mediaType", media_type_of(file.role)},
      {"size", file.size}};
}

// The ModelPack config, embedded: what other tools read of a model.
Json config_json(const Manifest& manifest, const std::vector<ManifestFile>& files) {
  Json::Array layers;
  for (const auto& file : files) {
    layers.emplace_back(file.digest.to_string());
  }
  const Json config =
      Json::Object{{"config", Json::Object{{"format", manifest.variants.front().format}}},
                   {"descriptor",
                    Json::Object{{"name", manifest.model.to_string()},
                                 {"title", manifest.description},
                                 {"version", manifest.version.to_string()}}},
                   {"modelfs", Json::Object{{"diffIds", std::move(layers)}, {"type", "layers"}}}};
  const std::string bytes = config.dump();
  return Json::Object{{"data", to_base64(as_bytes(bytes))},
                      {"digest", Digest::of(bytes).to_string()},
                      {"mediaType", kConfigType},
                      {"size", static_cast<std::uint64_t>(bytes.size())}};
}

}  // namespace

std::string_view to_string(SwapMode mode) noexcept {
  return mode == SwapMode::kOverlap ? "overlap" : "unload_first";
}

std::uint64_t Variant::total_size() const {
  std::uint64_t total = 0;
  for (const auto& file : files) {
    total += file.size;
  }
  return total;
}

const ManifestFile* Variant::find_file(FileRole role) const {
  const auto found = std::find_if(
      files.begin(), files.end(), [role](const ManifestFile& file) { return file.role == role; });
  return found == files.end() ? nullptr : &*found;
}

const Variant* Manifest::find_variant(std::string_view name) const {
  const auto found = std::find_if(variants.begin(), variants.end(), [name](const Variant& variant) {
    return variant.name == name;
  });
  return found == variants.end() ? nullptr : &*found;
}

const ManifestFile* Manifest::golden_for(const Variant& variant) const {
  if (const auto* own = variant.find_file(FileRole::kGolden); own != nullptr) {
    return own;
  }
  for (const auto& file : shared) {
    if (file.role == FileRole::kGolden) {
      return &file;
    }
  }
  return nullptr;
}

std::vector<ManifestFile> Manifest::files_for(const Variant& variant) const {
  std::vector<ManifestFile> files = variant.files;
  for (const auto& file : shared) {
    switch (file.role) {
      case FileRole::kCalibration:
      case FileRole::kEvaluation:
      case FileRole::kLicense:
      case FileRole::kCard:
        break;
      default:
        files.push_back(file);
    }
  }
  return files;
}

std::vector<ManifestFile> Manifest::all_files() const {
  std::vector<ManifestFile> files;
  std::set<Digest> seen;
  const auto add = [&](const std::vector<ManifestFile>& some) {
    for (const auto& file : some) {
      if (seen.insert(file.digest).second) {
        files.push_back(file);
      }
    }
  };
  for (const auto& variant : variants) {
    add(variant.files);
  }
  add(shared);
  return files;
}

std::string Manifest::target_path() const {
  return "models/" + model.team + "/" + model.name + "/" + version.to_string();
}

Result<std::string> Manifest::serialise() const {
  if (auto ok = check_manifest(*this); !ok) {
    return ok.error();
  }
  const auto files = all_files();
  Json::Array layers;
  for (const auto& file : files) {
    layers.push_back(layer_json(file));
  }
  Json::Array variant_list;
  for (const auto& variant : variants) {
    variant_list.push_back(variant_json(variant));
  }
  Json::Object body{{"activation", activation_json(activation)},
                    {"format", 1},
                    {"model", model.to_string()},
                    {"release_counter", release_counter},
                    {"variants", std::move(variant_list)},
                    {"version", version.to_string()}};
  if (!description.empty()) {
    body.emplace("description", description);
  }
  if (!shared.empty()) {
    body.emplace("shared", files_json(shared));
  }
  if (!prefer.empty()) {
    body.emplace("prefer", texts(prefer));
  }
  Json::Object document{{"artifactType", kManifestArtifactType},
                        {"config", config_json(*this, files)},
                        {"layers", std::move(layers)},
                        {"mediaType", kImageManifestType},
                        {"schemaVersion", 2},
                        {"skerry", std::move(body)}};
  if (!annotations.empty()) {
    Json::Object notes;
    for (const auto& [key, value] : annotations) {
      notes.emplace(key, value);
    }
    document.emplace("annotations", std::move(notes));
  }
  std::string bytes = Json{std::move(document)}.dump();
  if (bytes.size() > ManifestLimits::kBytes) {
    return Error{Error::Code::kManifestInvalid,
                 "manifest: has " + std::to_string(bytes.size()) + " bytes, at most 1048576 fit"};
  }
  return bytes;
}

Result<TargetName> parse_target_path(std::string_view path) {
  constexpr std::string_view kPrefix = "models/";
  const Error bad{Error::Code::kInvalidArgument,
                  "target path \"" + std::string{path.substr(0, 200)} +
                      "\" is not models/<team>/<name>/<version>"};
  const auto last = path.rfind('/');
  if (!path.starts_with(kPrefix) || last <= kPrefix.size()) {
    return bad;
  }
  auto model = ModelName::parse(path.substr(kPrefix.size(), last - kPrefix.size()));
  auto version = SemanticVersion::parse(path.substr(last + 1));
  if (!model || !version) {
    return bad;
  }
  return TargetName{std::move(*model), std::move(*version)};
}

}  // namespace skerry::registry
