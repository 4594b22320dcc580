#include "model_edit.hpp"

#include <bit>
#include <cstring>
#include <limits>

namespace skerry::runtime::onnx_tools {

namespace {

constexpr int kMinOpset = 13;

Error bad(const std::string& message) {
  return Error{Error::Code::kModelLoad, "onnx: " + message};
}

bool is_quantized(const onnx::NodeProto& node) {
  return node.op_type() == "QuantizeLinear" || node.op_type() == "DequantizeLinear" ||
         node.op_type().starts_with("QLinear") || node.op_type() == "MatMulNBits";
}

}  // namespace

std::size_t element_count(const onnx::TensorProto& tensor) {
  std::size_t count = 1;
  for (const auto dim : tensor.dims()) {
    if (dim < 0 || __builtin_mul_overflow(count, static_cast<std::size_t>(dim), &count)) {
      return std::numeric_limits<std::size_t>::max();
    }
  }
  return count;
}

std::vector<float> float_values(const onnx::TensorProto& tensor) {
  if (!tensor.has_raw_data()) {
    return {tensor.float_data().begin(), tensor.float_data().end()};
  }
  static_assert(std::endian::native == std::endian::little);
  std::vector<float> values(tensor.raw_data().size() / sizeof(float));
  std::memcpy(values.data(), tensor.raw_data().data(), values.size() * sizeof(float));
  return values;
}

Result<ModelEdit> ModelEdit::parse(std::span<const std::byte> bytes) {
  ModelEdit edit;
  if (bytes.size() > std::numeric_limits<int>::max() ||
      !edit.model_.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      !edit.model_.has_graph()) {
    return bad("not a model: the bytes are no ModelProto with a graph");
  }
  bool opset_found = false;
  for (const auto& import : edit.model_.opset_import()) {
    if (import.domain().empty() || import.domain() == "ai.onnx") {
      opset_found = true;
      if (import.version() < kMinOpset) {
        return bad("opset " + std::to_string(import.version()) +
                   " has no per-channel quantization; convert the model to opset 13 or newer");
      }
    }
  }
  if (!opset_found) {
    return bad("opset_import has no version of the ai.onnx domain");
  }
  if (auto indexed = edit.index(); !indexed) {
    return indexed.error();
  }
  return edit;
}

Result<void> ModelEdit::index() {
  auto& graph = *model_.mutable_graph();
  for (int i = 0; i < graph.initializer_size(); ++i) {
    constants_[graph.initializer(i).name()] = i;
    names_.insert(graph.initializer(i).name());
  }
  for (const auto& input : graph.input()) {
    inputs_.insert(input.name());
    names_.insert(input.name());
  }
  for (int i = 0; i < graph.node_size(); ++i) {
    const auto& node = graph.node(i);
    if (is_quantized(node)) {
      return bad("the model is already quantized: node " + std::to_string(i) + " is a " +
                 node.op_type());
    }
    for (int k = 0; k < node.input_size(); ++k) {
      uses_[node.input(k)].push_back({i, k});
    }
    names_.insert(node.output().begin(), node.output().end());
    names_.insert(node.name());
    for (const auto& attribute : node.attribute()) {
      has_subgraphs_ = has_subgraphs_ || attribute.has_g() || attribute.graphs_size() > 0;
    }
  }
  return find_input();
}

Result<void> ModelEdit::find_input() {
  for (const auto& input : model_.graph().input()) {
    if (constants_.contains(input.name())) {
      continue;
    }
    if (input_ != nullptr) {
      return bad("the model has more than one input ('" + input_->name() + "', '" + input.name() +
                 "'); calibration data is for one");
    }
    if (!input.type().has_tensor_type() ||
        input.type().tensor_type().elem_type() != onnx::TensorProto::FLOAT) {
      return bad("input '" + input.name() + "' is no float32 tensor");
    }
    input_ = &input;
  }
  if (input_ == nullptr) {
    return bad("the model has no input");
  }
  return {};
}

std::span<const Use> ModelEdit::uses(const std::string& value) const {
  const auto found = uses_.find(value);
  return found == uses_.end() ? std::span<const Use>{} : std::span<const Use>{found->second};
}

const onnx::TensorProto* ModelEdit::constant(const std::string& name) const {
  const auto found = constants_.find(name);
  return found == constants_.end() ? nullptr : &model_.graph().initializer(found->second);
}

bool ModelEdit::is_float_constant(const std::string& name) const {
  const auto* tensor = constant(name);
  return tensor != nullptr && tensor->data_type() == onnx::TensorProto::FLOAT &&
         tensor->data_location() != onnx::TensorProto::EXTERNAL &&
         float_values(*tensor).size() == element_count(*tensor) && element_count(*tensor) > 0;
}

std::string ModelEdit::fresh_name(const std::string& base) {
  std::string name = base;
  for (int i = 2; !names_.insert(name).second; ++i) {
    name = base + "_" + std::to_string(i);
  }
  return name;
}

void ModelEdit::drop_unused_constants() {
  if (has_subgraphs_) {
    return;
  }
  auto& graph = *model_.mutable_graph();
  std::set<std::string> used;
  for (const auto& node : graph.node()) {
    used.insert(node.input().begin(), node.input().end());
  }
  for (const auto& output : graph.output()) {
    used.insert(output.name());
  }
  std::set<std::string> dropped;
  auto* constants = graph.mutable_initializer();
  for (int i = constants->size() - 1; i >= 0; --i) {
    if (!used.contains(constants->Get(i).name())) {
      dropped.insert(constants->Get(i).name());
      constants->DeleteSubrange(i, 1);
    }
  }
  auto* inputs = graph.mutable_input();  // IR 3 lists constants there too
  for (int i = inputs->size() - 1; i >= 0; --i) {
    if (dropped.contains(inputs->Get(i).name())) {
      inputs->DeleteSubrange(i, 1);
    }
  }
}

}  // namespace skerry::runtime::onnx_tools
