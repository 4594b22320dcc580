// ONNX: one file, or a folder with one or several, each with the external data that it names.

#include <algorithm>

#include "skerry/registry/import_names.hpp"
#include "skerry/registry/onnx_check.hpp"

#include "importers.hpp"

namespace skerry::registry {
namespace {

// "model_quantized.onnx" is the variant "quantized", "model.onnx" the variant "onnx".
std::string onnx_variant_name(const std::string& path) {
  const std::string name = source_name(path);
  const std::string quantization = quantization_of(name);
  if (!quantization.empty()) {
    return import_name_part(quantization);
  }
  const std::string stem = name.substr(0, name.rfind('.'));
  return stem == "model" ? "onnx" : import_name_part(stem);
}

// A link beside the model is the likely reason why external data is not found.
Error explain(const SourceFolder& source, const std::string& folder, const Error& error) {
  for (const std::string& path : source.irregular()) {
    if (source_parent(path) == folder &&
        error.message().find("'" + source_name(path) + "'") != std::string::npos) {
      return source.refuse_irregular().error();
    }
  }
  return error;
}

}  // namespace

Result<ImportVariant> onnx_variant(const SourcePtr& source,
                                   const std::string& path,
                                   const std::string& data_folder,
                                   std::string variant) {
  const auto opened = source->open_file(path);
  if (!opened) {
    return opened.error();
  }
  // External data may be any file beside the model, by its plain name; the parser refuses paths.
  OnnxLimits limits;
  for (const SourceEntry& entry : source->files_in(data_folder)) {
    if (entry.path != path) {
      limits.external_files.emplace(source_name(entry.path), entry.size);
    }
  }
  const auto summary = check_onnx(**opened, limits);
  if (!summary) {
    return explain(*source, data_folder, summary.error()).with_context(path);
  }
  ImportVariant out;
  out.name = std::move(variant);
  out.format = "onnx";
  out.runtime = "onnx";
  auto model = import_file(source, FileRole::kWeights, path, import_file_name(source_name(path)));
  if (!model) {
    return model.error();
  }
  out.files.push_back(std::move(*model));
  for (const std::string& name : summary->external_files) {
    if (import_file_name(name) != name) {
      return Error{Error::Code::kModelFormat,
                   path + ": external data is called \"" + name +
                       "\"; a manifest's files are called [A-Za-z0-9._+-], save it under another "
                       "name"};
    }
    auto data = import_file(source, FileRole::kWeights, source_join(data_folder, name), name);
    if (!data) {
      return data.error();
    }
    out.files.push_back(std::move(*data));
  }
  if (out.files.size() > ManifestLimits::kFilesPerVariant) {
    return Error{Error::Code::kTooLarge, path + " names too many files of external data"};
  }
  return out;
}

Result<ImportPlan> plan_onnx(const SourcePtr& source, const std::string& only) {
  ImportPlan plan;
  if (!only.empty()) {
    auto variant = onnx_variant(source, only, "", onnx_variant_name(only));
    if (!variant) {
      return variant.error();
    }
    plan.name = import_name_part(only.substr(0, only.rfind('.')));
    const bool alone = variant->files.size() == 1;
    plan.variants.push_back(std::move(*variant));
    if (alone && source->find(only + ".sig") != nullptr) {
      auto signature = import_file(source, FileRole::kSignature, only + ".sig", "model.sig");
      if (!signature) {
        return signature.error();
      }
      plan.shared.push_back(std::move(*signature));
    }
    return plan;
  }
  for (const SourceEntry& entry : source->files()) {
    if (!entry.path.ends_with(".onnx")) {
      continue;
    }
    auto variant = onnx_variant(source,
                                entry.path,
                                source_parent(entry.path),
                                unused_variant(plan, onnx_variant_name(entry.path)));
    if (!variant) {
      return variant.error();
    }
    plan.variants.push_back(std::move(*variant));
  }
  if (plan.variants.empty()) {
    return Error{Error::Code::kNotFound, "there is no ONNX model in " + source->name()};
  }
  plan.name = import_name_part(source->name());
  if (auto added = add_companions(source, plan); !added) {
    return added.error();
  }
  return plan;
}

}  // namespace skerry::registry
