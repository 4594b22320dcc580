// ONNX Runtime's model packages: manifest.json names components, a component its variants, a
// variant a folder and, in executor_info.ort, the model file. Session and provider options of a
// package are never applied: among them were ones that write files.

#include <algorithm>

#include "skerry/registry/import_names.hpp"

#include "importers.hpp"

namespace skerry::registry {
namespace {

constexpr std::string_view kPackageManifest = "manifest.json";
constexpr std::string_view kDataFolderOption =
    "session.model_external_initializers_file_folder_path";
constexpr std::size_t kMaxPackageVariants = 64;

struct PackageComponent {
  std::string name;
  std::string folder;  // variants lie below it
  Json body;
};

struct PackageVariant {
  std::string name;
  std::string folder;
  Json body;
};

std::string text_member(const Json& json, std::string_view key) {
  const Json* value = json.find(key);
  return value != nullptr && value->string() != nullptr ? *value->string() : std::string{};
}

// A path of the package: relative to `base`, or into a shared asset ("sha256:<hex>/sub").
Result<std::string> package_path(const std::string& base,
                                 const std::string& text,
                                 const std::string& where) {
  constexpr std::string_view kAsset = "sha256:";
  if (!text.starts_with(kAsset)) {
    if (auto ok = check_source_path(text, where); !ok) {
      return ok.error();
    }
    return source_join(base, text);
  }
  const std::size_t slash = text.find('/');
  const auto digest = Digest::parse(text.substr(0, slash));
  if (!digest) {
    return digest.error().with_context(where);
  }
  std::string path = "shared_assets/sha256-" + digest->hex();
  if (slash != std::string::npos) {
    const std::string inner = text.substr(slash + 1);
    if (auto ok = check_source_path(inner, where); !ok) {
      return ok.error();
    }
    path += "/" + inner;
  }
  return path;
}

// The digest of a shared asset's folder, as the format computes it: over its files' digests and
// names, sorted by name.
Result<void> check_asset(const SourceFolder& source, const std::string& path) {
  constexpr std::string_view kPrefix = "shared_assets/sha256-";
  if (!path.starts_with(kPrefix)) {
    return {};
  }
  const std::string hex = path.substr(kPrefix.size(), 64);
  const std::string folder = std::string{kPrefix} + hex;
  std::string lines;
  for (const SourceEntry& entry : source.files()) {
    if (!entry.path.starts_with(folder + "/")) {
      continue;
    }
    auto file = source.open_file(entry.path);
    if (!file) {
      return file.error();
    }
    Sha256 hash;
    Bytes buffer(1U << 20U);
    for (std::uint64_t at = 0; at < entry.size;) {
      const auto read = (*file)->read_at(at, buffer);
      if (!read || *read == 0) {
        return read ? Error{Error::Code::kSizeMismatch, entry.path + " became shorter"}
                    : read.error();
      }
      hash.update(ByteView{buffer}.first(*read));
      at += *read;
    }
    lines += hash.finish().hex() + "  " + entry.path.substr(folder.size() + 1) + "\n";
  }
  if (Digest::of(lines).hex() != hex) {
    return Error{Error::Code::kDigestMismatch,
                 folder + " does not have the digest that its name says"};
  }
  return {};
}

Result<PackageComponent> choose_component(const SourceFolder& source, const std::string& pick) {
  const auto manifest = read_source_json(source, kPackageManifest);
  if (!manifest) {
    return manifest.error();
  }
  const Json* version = manifest->find("schema_version");
  const std::string text = version != nullptr && version->is_int()
                               ? version->dump() + ".0"
                               : text_member(*manifest, "schema_version");
  if (!text.starts_with("1.")) {
    return Error{
        Error::Code::kModelFormat,
        "manifest.json: schema_version is \"" + text.substr(0, 32) + "\"; 1.x is read here"};
  }
  if (text_member(*manifest, "layout") == "installed") {
    return Error{Error::Code::kModelFormat,
                 "manifest.json: layout \"installed\" may lead outside the package; export it as "
                 "\"portable\""};
  }
  const auto components = manifest->get_object("components");
  if (!components) {
    return components.error().with_context("manifest.json");
  }
  std::string names;
  const Json::Object& all = *(*components)->object();
  for (const auto& [name, value] : all) {
    names += (names.empty() ? "" : ", ") + name;
    if (all.size() != 1 && name != pick) {
      continue;
    }
    if (!pick.empty() && name != pick) {
      continue;
    }
    PackageComponent component;
    component.name = name;
    if (value.is_object()) {
      component.body = value;
      return component;
    }
    if (value.string() == nullptr) {
      return Error{Error::Code::kParse,
                   "manifest.json: components." + name + " is neither a path nor an object"};
    }
    const std::string where = "manifest.json: components." + name;
    if (auto ok = check_source_path(*value.string(), where); !ok) {
      return ok.error();
    }
    const bool folder = source.find(*value.string()) == nullptr;
    const std::string file = folder ? *value.string() + "/component.json" : *value.string();
    component.folder = source_parent(file);
    auto body = read_source_json(source, file);
    if (!body) {
      return body.error().with_context(where);
    }
    component.body = std::move(*body);
    return component;
  }
  return Error{
      Error::Code::kNotFound,
      "say which component with --pick (one session runs one component); there are " + names};
}

// executor_info.ort: an object, or the path of a file that holds it.
Result<Json> ort_info(const SourceFolder& source, const PackageVariant& variant) {
  const Json* info = variant.body.find("executor_info");
  const Json* ort = info == nullptr ? nullptr : info->find("ort");
  if (ort == nullptr) {
    return Json{Json::Object{}};
  }
  if (ort->is_object()) {
    return *ort;
  }
  if (ort->string() == nullptr) {
    return Error{Error::Code::kParse, "executor_info.ort is neither a path nor an object"};
  }
  const auto path = package_path(variant.folder, *ort->string(), "executor_info.ort");
  if (!path) {
    return path.error();
  }
  return read_source_json(source, *path);
}

// What the machine needs for a variant, or why it is no use here.
Result<std::string> accelerator_of(const Json& body) {
  const std::string provider = text_member(body, "ep");
  const std::string device = text_member(body, "device");
  if ((provider.empty() || provider == "CPUExecutionProvider") &&
      (device.empty() || device == "cpu")) {
    return std::string{"cpu"};
  }
  return Error{Error::Code::kNoFittingVariant,
               "for " + (provider.empty() ? device : provider) + ", which the onnx plugin has not"};
}

Result<ImportVariant> package_variant(const SourcePtr& source,
                                      const ImportPlan& plan,
                                      const PackageVariant& variant,
                                      std::vector<std::string>& notes) {
  const auto info = ort_info(*source, variant);
  if (!info) {
    return info.error();
  }
  std::string model = text_member(*info, "model_file");
  if (model.empty()) {
    for (const SourceEntry& entry : source->files_in(variant.folder)) {
      if (entry.path.ends_with(".onnx")) {
        if (!model.empty()) {
          return Error{Error::Code::kModelFormat,
                       variant.folder + " has several ONNX files and names none as model_file"};
        }
        model = source_name(entry.path);
      }
    }
  }
  const auto path = package_path(variant.folder, model, "model_file");
  if (!path) {
    return path.error();
  }
  std::string data_folder = source_parent(*path);
  if (const Json* options = info->find("session_options");
      options != nullptr && options->is_object() && !options->object()->empty()) {
    const std::string folder = text_member(*options, kDataFolderOption);
    if (!folder.empty()) {
      const auto resolved = package_path(variant.folder, folder, std::string{kDataFolderOption});
      if (!resolved) {
        return resolved.error();
      }
      data_folder = *resolved;
    }
    notes.push_back(variant.name + ": its session options are not applied");
  }
  for (const std::string& used : {*path, data_folder}) {
    if (auto ok = check_asset(*source, used); !ok) {
      return ok.error();
    }
  }
  return onnx_variant(
      source, *path, data_folder, unused_variant(plan, import_name_part(variant.name)));
}

}  // namespace

bool looks_like_ort_package(const SourceFolder& source) {
  if (source.find(kPackageManifest) == nullptr) {
    return false;
  }
  const auto json = read_source_json(source, kPackageManifest);
  return json && json->find("schema_version") != nullptr && json->find("components") != nullptr;
}

Result<ImportPlan> plan_ort_package(const SourcePtr& source, const std::string& pick) {
  const auto component = choose_component(*source, pick);
  if (!component) {
    return component.error();
  }
  const auto variants = component->body.get_object("variants");
  if (!variants) {
    return variants.error().with_context("component " + component->name);
  }
  if ((*variants)->object()->size() > kMaxPackageVariants) {
    return Error{Error::Code::kTooLarge, "component " + component->name + ": too many variants"};
  }
  ImportPlan plan;
  for (const auto& [name, body] : *(*variants)->object()) {
    const std::string where = component->name + "/" + name;
    const auto accelerator = accelerator_of(body);
    if (!accelerator) {
      plan.notes.push_back("left out: variant " + name + ", " + accelerator.error().message());
      continue;
    }
    PackageVariant variant{name, "", body};
    const std::string declared = text_member(body, "variant_directory");
    const auto folder = package_path(
        component->folder, declared.empty() ? name : declared, where + ": variant_directory");
    if (!folder) {
      return folder.error();
    }
    variant.folder = *folder;
    auto made = package_variant(source, plan, variant, plan.notes);
    if (!made) {
      return made.error().with_context(where);
    }
    made->accelerator = *accelerator;
    plan.variants.push_back(std::move(*made));
  }
  if (plan.variants.empty()) {
    std::string why;
    for (const std::string& note : plan.notes) {
      why += "; " + note;
    }
    return Error{Error::Code::kNoFittingVariant,
                 "component " + component->name + " has no variant for the CPU" + why};
  }
  const auto manifest = read_source_json(*source, kPackageManifest);
  const std::string named = manifest ? text_member(*manifest, "package_name") : std::string{};
  plan.name = import_name_part(named.empty() ? source->name() : named);
  if (manifest) {
    plan.description = text_member(*manifest, "description").substr(0, ManifestLimits::kTextLength);
  }
  if (auto added = add_companions(source, plan); !added) {
    return added.error();
  }
  return plan;
}

}  // namespace skerry::registry
