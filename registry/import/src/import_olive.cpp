// What an Olive run leaves: a folder whose model_config.json names the ONNX model, or the packaged
// candidates, CandidateModels/<accelerator>/BestCandidateModel_<rank>. The paths in Olive's own
// files are those of the machine that it ran on; only their last component counts here.

#include <algorithm>

#include "skerry/registry/import_names.hpp"

#include "importers.hpp"

namespace skerry::registry {
namespace {

constexpr std::string_view kConfigName = "model_config.json";
constexpr std::string_view kCandidate = "BestCandidateModel_";

bool is_olive_config(const SourceFolder& source, const std::string& path) {
  const auto json = read_source_json(source, path);
  return json && json->find("type") != nullptr && json->find("config") != nullptr &&
         json->find("config")->is_object();
}

// The folders that hold one model each, best first.
std::vector<std::string> model_folders(const SourceFolder& source) {
  std::vector<std::string> folders;
  for (const SourceEntry& entry : source.files()) {
    const std::string folder = source_parent(entry.path);
    const bool candidate = source_name(folder).starts_with(kCandidate);
    const bool config =
        source_name(entry.path) == kConfigName && is_olive_config(source, entry.path);
    if ((candidate || config) &&
        std::find(folders.begin(), folders.end(), folder) == folders.end()) {
      folders.push_back(folder);
    }
  }
  return folders;
}

// "model" or an absolute path of another machine: what of it is here?
Result<std::string> config_model(const SourceFolder& source, const std::string& folder) {
  const std::string at = source_join(folder, kConfigName);
  if (source.find(at) == nullptr) {
    return std::string{};
  }
  const auto json = read_source_json(source, at);
  if (!json) {
    return json.error();
  }
  const auto type = json->get_string("type");
  if (type && *type != "ONNXModel" && *type != "onnxmodel") {
    return Error{Error::Code::kModelFormat,
                 at + ": a model of type " + type->substr(0, 64) +
                     "; only ONNX models run here (finish the Olive run with a conversion)"};
  }
  const Json* config = json->find("config");
  std::string last;
  for (const std::string_view key : {"model_path", "onnx_file_name"}) {
    const Json* value = config == nullptr ? nullptr : config->find(key);
    if (value != nullptr && value->string() != nullptr) {
      last = source_name(*value->string());
      if (last.ends_with(".onnx")) {
        return last;
      }
    }
  }
  return std::string{};
}

Result<std::string> find_model(const SourceFolder& source, const std::string& folder) {
  const auto named = config_model(source, folder);
  if (!named) {
    return named.error();
  }
  std::vector<std::string> found;
  const std::string prefix = folder.empty() ? "" : folder + "/";
  for (const SourceEntry& entry : source.files()) {
    if (!entry.path.starts_with(prefix) || !entry.path.ends_with(".onnx")) {
      continue;
    }
    if (named->empty() || source_name(entry.path) == *named) {
      found.push_back(entry.path);
    }
  }
  if (found.size() == 1) {
    return found.front();
  }
  return Error{Error::Code::kNotFound,
               (folder.empty() ? source.name() : folder) + ": " + std::to_string(found.size()) +
                   " ONNX files" + (named->empty() ? "" : " called " + *named) +
                   ", exactly one is expected; import the file itself"};
}

// "cpu" of "CandidateModels/cpu-cpu/BestCandidateModel_1" with its rank; a plain run is "olive".
std::string olive_variant_name(const std::string& folder) {
  const std::string name = source_name(folder);
  if (!name.starts_with(kCandidate)) {
    return "olive";
  }
  const std::string accelerator = source_name(source_parent(folder));
  return import_name_part(accelerator + "-" + name.substr(kCandidate.size()));
}

}  // namespace

bool looks_like_olive(const SourceFolder& source) {
  return !model_folders(source).empty();
}

Result<ImportPlan> plan_olive(const SourcePtr& source) {
  const std::vector<std::string> folders = model_folders(*source);
  if (folders.empty()) {
    return Error{Error::Code::kNotFound,
                 source->name() + " holds neither a model_config.json of Olive nor its candidates"};
  }
  ImportPlan plan;
  for (const std::string& folder : folders) {
    const auto path = find_model(*source, folder);
    if (!path) {
      return path.error();
    }
    auto variant = onnx_variant(
        source, *path, source_parent(*path), unused_variant(plan, olive_variant_name(folder)));
    if (!variant) {
      return variant.error();
    }
    plan.variants.push_back(std::move(*variant));
  }
  plan.name = import_name_part(source->name());
  if (auto added = add_companions(source, plan); !added) {
    return added.error();
  }
  return plan;
}

}  // namespace skerry::registry
