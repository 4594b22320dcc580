#include "skerry/cli/weights.hpp"

#include <array>

#include "skerry/registry/gguf_check.hpp"
#include "skerry/registry/onnx_check.hpp"
#include "skerry/registry/upstream_spec.hpp"
#include "skerry/runtime/memory_estimate.hpp"

namespace skerry::cli {
namespace {

WeightsSummary summarise(const registry::GgufSummary& gguf,
                         const registry::ActivationOptions& activation) {
  runtime::GgufShape shape;
  shape.weights_bytes = gguf.weights_bytes;
  Json::Object types;
  for (const auto& [name, use] : gguf.types) {
    if (runtime::is_repacked_type(name)) {
      shape.repacked_bytes += use.bytes;
    }
    types[name] = Json{Json::Object{{"tensors", use.tensors}, {"bytes", use.bytes}}};
  }
  shape.block_count = static_cast<std::uint32_t>(gguf.block_count);
  shape.embedding_length = static_cast<std::uint32_t>(gguf.embedding_length);
  shape.feed_forward_length = static_cast<std::uint32_t>(gguf.feed_forward_length);
  shape.head_count = static_cast<std::uint32_t>(gguf.head_count);
  shape.head_count_kv = static_cast<std::uint32_t>(gguf.head_count_kv);
  shape.key_length = static_cast<std::uint32_t>(gguf.key_length);
  shape.value_length = static_cast<std::uint32_t>(gguf.value_length);
  shape.vocabulary = static_cast<std::uint32_t>(gguf.vocabulary_size);
  shape.context_length = static_cast<std::uint32_t>(gguf.context_length);
  runtime::GgufPlan plan;
  plan.context_length = activation.context_length;
  if (activation.max_sequences != 0) {
    plan.max_sequences = activation.max_sequences;
  }
  WeightsSummary summary;
  summary.format = "gguf";
  summary.ram_bytes = runtime::estimate_gguf(shape, plan).total();
  summary.details = Json{Json::Object{{"format", "gguf"},
                                      {"architecture", gguf.architecture},
                                      {"name", gguf.name},
                                      {"license", gguf.license},
                                      {"parameters", gguf.parameters},
                                      {"tensors", gguf.tensors},
                                      {"types", std::move(types)},
                                      {"dominant_type", gguf.dominant_type},
                                      {"context_length", gguf.context_length},
                                      {"layers", gguf.block_count},
                                      {"vocabulary", gguf.vocabulary_size},
                                      {"tokenizer", gguf.tokenizer_model},
                                      {"chat_template", gguf.chat_template.has_value()},
                                      {"file_bytes", gguf.file_bytes},
                                      {"ram_bytes", summary.ram_bytes}}};
  return summary;
}

Json values_json(const std::vector<registry::OnnxValue>& values) {
  Json::Array list;
  for (const auto& value : values) {
    Json::Array shape;
    for (const std::int64_t extent : value.shape) {
      shape.emplace_back(extent);
    }
    list.emplace_back(
        Json::Object{{"name", value.name}, {"type", value.type}, {"shape", std::move(shape)}});
  }
  return Json{std::move(list)};
}

WeightsSummary summarise(const registry::OnnxSummary& onnx) {
  Json::Object operators;
  for (const auto& [name, count] : onnx.operators) {
    operators[name] = count;
  }
  WeightsSummary summary;
  summary.format = "onnx";
  // Activations of graphs that run on gateways are small beside the session's own memory.
  constexpr std::uint64_t kActivations = 4U << 20U;
  summary.ram_bytes = runtime::estimate_onnx(onnx.file_bytes, kActivations).total();
  summary.details = Json{Json::Object{{"format", "onnx"},
                                      {"opset", onnx.opset},
                                      {"ir_version", onnx.ir_version},
                                      {"producer", onnx.producer},
                                      {"inputs", values_json(onnx.inputs)},
                                      {"outputs", values_json(onnx.outputs)},
                                      {"nodes", onnx.nodes},
                                      {"parameters", onnx.parameters},
                                      {"operators", std::move(operators)},
                                      {"quantized", onnx.quantized},
                                      {"file_bytes", onnx.file_bytes},
                                      {"ram_bytes", summary.ram_bytes}}};
  return summary;
}

// No model to speak of: what a gateway keeps for it is a connection.
constexpr std::uint64_t kUpstreamRam = 1U << 20U;

Result<WeightsSummary> inspect_upstream(File& file) {
  Bytes text(registry::upstream::Spec::kBytes + 1);
  const auto length = file.read_at(0, text);
  if (!length) {
    return length.error();
  }
  text.resize(*length);
  const auto spec = registry::upstream::parse_spec(as_text(text));
  if (!spec) {
    return spec.error();
  }
  Json::Array order;
  for (const registry::upstream::Tier tier : spec->order) {
    order.emplace_back(to_string(tier));
  }
  WeightsSummary summary;
  summary.format = std::string{registry::upstream::kPlugin};
  summary.ram_bytes = kUpstreamRam;
  summary.details = Json{Json::Object{{"format", summary.format},
                                      {"model", spec->model},
                                      {"order", std::move(order)},
                                      {"spill", spec->spill},
                                      {"context_length", spec->context_length},
                                      {"ram_bytes", summary.ram_bytes}}};
  return summary;
}

}  // namespace

bool inspects_format(std::string_view format) {
  return format == "gguf" || format == "onnx" || format == registry::upstream::kPlugin;
}

Result<WeightsSummary> inspect_weights(FileSystem& fs,
                                       const std::filesystem::path& path,
                                       const registry::ActivationOptions& activation) {
  auto file = fs.open(path, OpenMode::kRead);
  if (!file) {
    return file.error();
  }
  auto summary = inspect_weights(**file, activation, {});
  return summary ? std::move(summary) : summary.error().with_context(path.string());
}

Result<WeightsSummary> inspect_weights(File& file,
                                       const registry::ActivationOptions& activation,
                                       const std::map<std::string, std::uint64_t>& external_files) {
  std::array<std::uint8_t, 4> magic{};
  const auto read = file.read_at(0, magic);
  if (!read) {
    return read.error();
  }
  if (*read == magic.size() && as_text(magic) == "GGUF") {
    const auto gguf = registry::check_gguf(file);
    if (!gguf) {
      return gguf.error();
    }
    return summarise(*gguf, activation);
  }
  if (*read > 0 && magic.front() == '{') {
    return inspect_upstream(file);
  }
  registry::OnnxLimits limits;
  limits.external_files = external_files;
  const auto onnx = registry::check_onnx(file, limits);
  if (!onnx) {
    return onnx.error();
  }
  WeightsSummary summary = summarise(*onnx);
  for (const auto& [name, size] : external_files) {
    summary.ram_bytes += size;
  }
  return summary;
}

}  // namespace skerry::cli
