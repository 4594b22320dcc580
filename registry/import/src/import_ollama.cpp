// Ollama's folder of models: manifests/<host>/<namespace>/<model>/<tag> and blobs/sha256-<hex>. Its
// own program takes a blob by its name alone; here every layer is hashed again. The template is a
// Go template and the parameters are its own: both are kept, neither is run.

#include <algorithm>
#include <map>
#include <set>

#include "skerry/registry/gguf_check.hpp"
#include "skerry/registry/import_names.hpp"

#include "importers.hpp"

namespace skerry::registry {
namespace {

constexpr std::string_view kLayerPrefix = "application/vnd.ollama.image.";
constexpr std::size_t kMaxLayers = 64;

struct OllamaModel {
  std::string path;  // of its manifest
  std::string host;
  std::string space;
  std::string model;
  std::string tag;

  // As people type it: without what is Ollama's default.
  [[nodiscard]] std::string text() const {
    std::string out;
    if (host != "registry.ollama.ai") {
      out += host + "/";
    }
    if (!out.empty() || space != "library") {
      out += space + "/";
    }
    return out + model + ":" + tag;
  }
};

std::vector<OllamaModel> list_ollama(const SourceFolder& source) {
  std::vector<OllamaModel> out;
  for (const SourceEntry& entry : source.files()) {
    if (!entry.path.starts_with("manifests/")) {
      continue;
    }
    std::vector<std::string> parts;
    for (std::string_view rest = entry.path; !rest.empty();) {
      const std::size_t slash = rest.find('/');
      parts.emplace_back(rest.substr(0, slash));
      rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
    }
    // Exactly four components under manifests/.
    if (parts.size() == 5) {
      out.push_back({entry.path, parts[1], parts[2], parts[3], parts[4]});
    }
  }
  return out;
}

Result<OllamaModel> choose_ollama(const SourceFolder& source, const std::string& pick) {
  const std::vector<OllamaModel> models = list_ollama(source);
  if (models.empty()) {
    return Error{Error::Code::kNotFound, "there is no model in " + source.name() + "/manifests"};
  }
  if (pick.empty() && models.size() == 1) {
    return models.front();
  }
  std::string names;
  for (const OllamaModel& model : models) {
    const std::string text = model.text();
    if (!pick.empty() && (text == pick || text == pick + ":latest")) {
      return model;
    }
    names += (names.empty() ? "" : ", ") + text;
  }
  return Error{Error::Code::kNotFound,
               (pick.empty() ? std::string{"say which model with --pick"}
                             : "there is no model \"" + pick + "\"") +
                   "; there are " + names};
}

// `blobs/sha256-<hex>` of a digest; the grammar is what once let a digest be a path
// (CVE-2024-37032).
Result<ImportFile> ollama_layer(const SourcePtr& source,
                                const Json& layer,
                                FileRole role,
                                std::string name,
                                const std::string& where) {
  const auto text = layer.get_string("digest");
  if (!text) {
    return text.error().with_context(where);
  }
  const auto digest = Digest::parse(*text);
  if (!digest) {
    return digest.error().with_context(where + ": digest");
  }
  const auto size = layer.get_int("size");
  if (!size) {
    return size.error().with_context(where);
  }
  auto file = import_file(source, role, "blobs/sha256-" + digest->hex(), std::move(name));
  if (!file) {
    return file.error().with_context(where);
  }
  if (*size < 0 || file->size != static_cast<std::uint64_t>(*size)) {
    return Error{Error::Code::kSizeMismatch,
                 where + ": " + file->path + " has " + std::to_string(file->size) +
                     " bytes, the manifest says " + std::to_string(*size)};
  }
  file->expected = *digest;
  return file;
}

struct LayerKind {
  std::string_view kind;
  FileRole role;
  std::string_view name;
};

// The template is not given to an engine: it is no Jinja.
constexpr LayerKind kLayerKinds[] = {
    {"model", FileRole::kWeights, "model.gguf"},
    {"adapter", FileRole::kAdapter, "adapter.gguf"},
    {"projector", FileRole::kProjector, "projector.gguf"},
    {"template", FileRole::kConfig, "ollama-template.txt"},
    {"system", FileRole::kConfig, "ollama-system.txt"},
    {"params", FileRole::kConfig, "ollama-params.json"},
    {"messages", FileRole::kConfig, "ollama-messages.json"},
    {"license", FileRole::kLicense, "license.txt"},
};

const LayerKind* layer_kind(std::string_view media_type) {
  if (!media_type.starts_with(kLayerPrefix)) {
    return nullptr;
  }
  media_type.remove_prefix(kLayerPrefix.size());
  const auto found =
      std::find_if(std::begin(kLayerKinds), std::end(kLayerKinds), [media_type](const auto& kind) {
        return kind.kind == media_type;
      });
  return found == std::end(kLayerKinds) ? nullptr : found;
}

// "license.txt", then "license-2.txt".
std::string numbered(std::string_view name, int count) {
  if (count == 1) {
    return std::string{name};
  }
  const std::size_t dot = name.rfind('.');
  return std::string{name.substr(0, dot)} + "-" + std::to_string(count) +
         std::string{name.substr(dot)};
}

Result<void> take_layer(const SourcePtr& source,
                        const Json& layer,
                        const std::string& where,
                        std::map<std::string, int>& counts,
                        ImportPlan& plan,
                        ImportVariant& variant) {
  const auto type = layer.get_string("mediaType");
  if (!type) {
    return type.error().with_context(where);
  }
  const LayerKind* kind = layer_kind(*type);
  if (kind == nullptr) {
    plan.notes.push_back("left out: a layer of type " + type->substr(0, 128));
    return {};
  }
  auto file = ollama_layer(
      source, layer, kind->role, numbered(kind->name, ++counts[std::string{kind->kind}]), where);
  if (!file) {
    return file.error();
  }
  if (kind->role == FileRole::kWeights) {
    if (!variant.files.empty()) {
      return Error{Error::Code::kModelFormat, where + ": a second model; one is expected"};
    }
    variant.files.push_back(std::move(*file));
  } else {
    if (kind->role == FileRole::kAdapter) {
      plan.notes.emplace_back("the adapter is kept, but not applied: the model answers without it");
    }
    plan.shared.push_back(std::move(*file));
  }
  return {};
}

}  // namespace

Result<ImportPlan> plan_ollama(const SourcePtr& source, const std::string& pick) {
  const auto model = choose_ollama(*source, pick);
  if (!model) {
    return model.error();
  }
  const auto manifest = read_source_json(*source, model->path);
  if (!manifest) {
    return manifest.error();
  }
  const auto version = manifest->get_int("schemaVersion");
  if (!version || *version != 2) {
    return Error{Error::Code::kModelFormat, model->path + ": schemaVersion must be 2"};
  }
  const auto layers = manifest->get_array("layers");
  if (!layers) {
    return layers.error().with_context(model->path);
  }
  if ((*layers)->array()->size() > kMaxLayers) {
    return Error{Error::Code::kTooLarge, model->path + ": more than 64 layers"};
  }
  ImportPlan plan;
  ImportVariant variant;
  variant.format = "gguf";
  variant.runtime = "llamacpp";
  std::map<std::string, int> counts;
  std::size_t number = 0;
  for (const Json& layer : *(*layers)->array()) {
    const std::string where = model->path + ": layers[" + std::to_string(number++) + "]";
    if (auto taken = take_layer(source, layer, where, counts, plan, variant); !taken) {
      return taken.error();
    }
  }
  if (variant.files.empty()) {
    return Error{Error::Code::kModelFormat, model->path + " names no layer of type model"};
  }
  if (const Json* config = manifest->find("config"); config != nullptr) {
    auto file = ollama_layer(
        source, *config, FileRole::kConfig, "ollama-config.json", model->path + ": config");
    if (!file) {
      return file.error();
    }
    plan.shared.push_back(std::move(*file));
  }
  const auto opened = variant.files.front().open();
  if (!opened) {
    return opened.error();
  }
  const auto summary = check_gguf(**opened);
  if (!summary) {
    return summary.error().with_context(model->text());
  }
  variant.name = import_name_part(summary->dominant_type);
  plan.name =
      import_name_part(model->tag == "latest" ? model->model : model->model + "-" + model->tag);
  plan.description = summary->name.substr(0, ManifestLimits::kTextLength);
  plan.annotations.emplace("skerry.import.name",
                           model->text().substr(0, ManifestLimits::kTextLength));
  plan.variants.push_back(std::move(variant));
  return plan;
}

}  // namespace skerry::registry
