#include "skerry/runtime/onnx_quantize.hpp"

#include <cstring>
#include <map>
#include <string_view>
#include <utility>

#include "calibration.hpp"
#include "model_edit.hpp"
#include "ort_handles.hpp"
#include "quantize_plan.hpp"
#include "quantize_weights.hpp"

namespace skerry::runtime {

namespace {

using namespace onnx_tools;  // NOLINT(google-build-using-namespace): the parts of this tool

template <class T>
onnx::TensorProto make_constant(const std::string& name,
                                onnx::TensorProto::DataType type,
                                const std::vector<std::int64_t>& dims,
                                const std::vector<T>& values) {
  onnx::TensorProto tensor;
  tensor.set_name(name);
  tensor.set_data_type(type);
  for (const auto dim : dims) {
    tensor.add_dims(dim);
  }
  tensor.set_raw_data(values.data(), values.size() * sizeof(T));
  return tensor;
}

onnx::NodeProto make_node(const std::string& name,
                          const std::string& type,
                          const std::vector<std::string>& inputs,
                          const std::string& output) {
  onnx::NodeProto node;
  node.set_name(name);
  node.set_op_type(type);
  for (const auto& input : inputs) {
    node.add_input(input);
  }
  node.add_output(output);
  return node;
}

void set_axis(onnx::NodeProto& node, int axis) {
  auto* attribute = node.add_attribute();
  attribute->set_name("axis");
  attribute->set_type(onnx::AttributeProto::INT);
  attribute->set_i(axis);
}

class Rewriter {
 public:
  Rewriter(ModelEdit& edit, const QuantizePlan& plan, std::map<std::string, Range> ranges)
      : edit_(edit), plan_(plan) {
    std::map<std::string, Range> groups;
    for (const auto& value : plan.values) {
      Range& group = groups[plan.groups.at(value)];
      group.low = std::min(group.low, ranges[value].low);
      group.high = std::max(group.high, ranges[value].high);
    }
    for (const auto& [root, range] : groups) {
      scales_[root] = activation_scale(range);
    }
  }

  std::string run() {
    std::map<int, const WeightedNode*> weighted;
    for (const auto& node : plan_.weighted) {
      weighted[node.node] = &node;
    }
    const onnx::GraphProto before = edit_.graph();
    edit_.graph().clear_node();
    if (plan_.values.contains(edit_.input().name())) {
      add_pair(edit_.input().name());
    }
    for (int i = 0; i < before.node_size(); ++i) {
      onnx::NodeProto node = before.node(i);
      if (const auto found = weighted.find(i); found != weighted.end()) {
        quantize_constants(*found->second, node);
      }
      if (plan_.integer_nodes.contains(i)) {
        take_dequantized(node);
      }
      *edit_.graph().add_node() = node;
      for (const auto& output : before.node(i).output()) {
        if (plan_.values.contains(output)) {
          add_pair(output);
        }
      }
    }
    edit_.drop_unused_constants();
    edit_.model().set_producer_name("skerry");
    edit_.model().clear_producer_version();
    return edit_.model().SerializeAsString();
  }

 private:
  [[nodiscard]] const ActivationScale& scale_of(const std::string& value) const {
    return scales_.at(plan_.groups.at(value));
  }

  // value → QuantizeLinear → DequantizeLinear → value_dequantized
  void add_pair(const std::string& value) {
    const ActivationScale& numbers = scale_of(value);
    const std::string scale = edit_.fresh_name(value + "_scale");
    const std::string zero = edit_.fresh_name(value + "_zero_point");
    const std::string quantized = edit_.fresh_name(value + "_quantized");
    std::string back = edit_.fresh_name(value + "_dequantized");
    auto& graph = edit_.graph();
    *graph.add_initializer() =
        make_constant<float>(scale, onnx::TensorProto::FLOAT, {}, {numbers.scale});
    *graph.add_initializer() =
        make_constant<std::uint8_t>(zero, onnx::TensorProto::UINT8, {}, {numbers.zero_point});
    *graph.add_node() = make_node(
        edit_.fresh_name(value + "_quantize"), "QuantizeLinear", {value, scale, zero}, quantized);
    *graph.add_node() = make_node(edit_.fresh_name(value + "_dequantize"),
                                  "DequantizeLinear",
                                  {quantized, scale, zero},
                                  back);
    dequantized_[value] = back;
  }

  void take_dequantized(onnx::NodeProto& node) {
    for (auto& input : *node.mutable_input()) {
      if (const auto found = dequantized_.find(input); found != dequantized_.end()) {
        input = found->second;
      }
    }
  }

  // A constant as integers with a DequantizeLinear; returns the name of its result.
  template <class T>
  std::string add_integers(const std::string& base,
                           onnx::TensorProto::DataType type,
                           const std::vector<std::int64_t>& dims,
                           int axis,
                           const std::vector<T>& values,
                           const std::vector<float>& scales) {
    const std::vector<std::int64_t> scale_dims =
        axis < 0 ? std::vector<std::int64_t>{}
                 : std::vector<std::int64_t>{static_cast<std::int64_t>(scales.size())};
    const std::string quantized = edit_.fresh_name(base + "_quantized");
    const std::string scale = edit_.fresh_name(base + "_scale");
    const std::string zero = edit_.fresh_name(base + "_zero_point");
    std::string back = edit_.fresh_name(base + "_dequantized");
    auto& graph = edit_.graph();
    *graph.add_initializer() = make_constant(quantized, type, dims, values);
    *graph.add_initializer() = make_constant(scale, onnx::TensorProto::FLOAT, scale_dims, scales);
    *graph.add_initializer() =
        make_constant(zero, type, scale_dims, std::vector<T>(scales.size(), T{0}));
    auto node = make_node(
        edit_.fresh_name(base + "_dequantize"), "DequantizeLinear", {quantized, scale, zero}, back);
    if (axis >= 0) {
      set_axis(node, axis);
    }
    *graph.add_node() = node;
    return back;
  }

  void quantize_constants(const WeightedNode& weighted, onnx::NodeProto& node) {
    // Copies: adding constants moves the ones that exist.
    const onnx::TensorProto weight = *edit_.constant(weighted.weight);
    const std::vector<std::int64_t> dims{weight.dims().begin(), weight.dims().end()};
    const auto bias =
        weighted.bias.empty() ? std::vector<float>{} : float_values(*edit_.constant(weighted.bias));
    const float input_scale = scale_of(node.input(0)).scale;
    const QuantizedWeights numbers =
        quantize_weights(float_values(weight), dims, weighted.axis, bias, input_scale);
    node.set_input(1,
                   add_integers(weighted.weight,
                                onnx::TensorProto::INT8,
                                dims,
                                weighted.axis,
                                numbers.values,
                                numbers.scales));
    if (!bias.empty()) {
      node.set_input(2,
                     add_integers(weighted.bias,
                                  onnx::TensorProto::INT32,
                                  {static_cast<std::int64_t>(bias.size())},
                                  0,
                                  numbers.bias,
                                  numbers.bias_scales));
    }
  }

  ModelEdit& edit_;
  const QuantizePlan& plan_;
  std::map<std::string, ActivationScale> scales_;
  std::map<std::string, std::string> dequantized_;
};

}  // namespace

Result<std::string> quantize_onnx(std::span<const std::byte> model,
                                  std::span<const std::byte> calibration,
                                  const OnnxQuantizeOptions& options) {
  if (skerry_ort::ort() == nullptr) {
    return Error{Error::Code::kUnavailable, "ONNX Runtime is too old for this build"};
  }
  auto edit = ModelEdit::parse(model);
  if (!edit) {
    return edit.error();
  }
  auto plan = make_plan(*edit);
  if (!plan) {
    return plan.error();
  }
  auto ranges = measure_ranges(*edit, plan->values, calibration, options);
  if (!ranges) {
    return ranges.error();
  }
  return Rewriter{*edit, *plan, std::move(*ranges)}.run();
}

}  // namespace skerry::runtime
