#include "quantize_plan.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

namespace skerry::runtime::onnx_tools {

namespace {

bool is_one_of(std::string_view type, std::span<const std::string_view> list) {
  return std::find(list.begin(), list.end(), type) != list.end();
}

// Shape only: input and output share one scale, and engines drop the pair around them.
bool passes_through(const onnx::NodeProto& node) {
  constexpr std::array<std::string_view, 6> kTypes{
      "MaxPool", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze"};
  return node.domain().empty() && node.output_size() == 1 && is_one_of(node.op_type(), kTypes);
}

// Arithmetic that engines also have on integers.
bool has_integer_form(const onnx::NodeProto& node) {
  constexpr std::array<std::string_view, 4> kTypes{
      "Add", "AveragePool", "GlobalAveragePool", "Concat"};
  return node.domain().empty() && is_one_of(node.op_type(), kTypes);
}

std::optional<std::int64_t> integer_attribute(const onnx::NodeProto& node, std::string_view name) {
  for (const auto& attribute : node.attribute()) {
    if (attribute.name() == name) {
      return attribute.i();
    }
  }
  return std::nullopt;
}

bool is_plain_gemm(const onnx::NodeProto& node) {
  for (const auto& attribute : node.attribute()) {
    if ((attribute.name() == "alpha" || attribute.name() == "beta") && attribute.f() != 1.0F) {
      return false;
    }
  }
  return integer_attribute(node, "transA").value_or(0) == 0;
}

// What makes a node one with weights: the constant, and its axis of output channels.
std::optional<WeightedNode> as_weighted(const ModelEdit& edit, int index) {
  const auto& node = edit.graph().node(index);
  const auto& type = node.op_type();
  if (!node.domain().empty() || node.input_size() < 2 || !edit.is_float_constant(node.input(1)) ||
      edit.constant(node.input(0)) != nullptr) {
    return std::nullopt;
  }
  const auto& weight = *edit.constant(node.input(1));
  WeightedNode out{index, node.input(1), -1, {}};
  if (type == "Conv" && weight.dims_size() >= 3) {
    out.axis = 0;
  } else if (type == "Gemm" && weight.dims_size() == 2 && is_plain_gemm(node)) {
    out.axis = integer_attribute(node, "transB").value_or(0) == 0 ? 1 : 0;
  } else if (type == "MatMul" && weight.dims_size() >= 2) {
    out.axis = weight.dims_size() == 2 ? 1 : -1;
  } else {
    return std::nullopt;
  }
  if (type != "MatMul" && node.input_size() > 2 && edit.is_float_constant(node.input(2))) {
    const auto& bias = *edit.constant(node.input(2));
    if (bias.dims_size() == 1 && bias.dims(0) == weight.dims(out.axis)) {
      out.bias = node.input(2);
    }
  }
  return out;
}

// Inputs of an integer node that carry activations.
std::vector<std::string> activations(const ModelEdit& edit, const onnx::NodeProto& node) {
  if (passes_through(node) || node.op_type() == "Conv" || node.op_type() == "Gemm") {
    return {node.input(0)};
  }
  std::vector<std::string> out;
  for (const auto& input : node.input()) {
    if (edit.constant(input) == nullptr && !input.empty()) {
      out.push_back(input);
    }
  }
  return out;
}

class Planner {
 public:
  explicit Planner(const ModelEdit& edit) : edit_(edit) {}

  Result<QuantizePlan> run() {
    // Nodes are in topological order, so what a value is used for is known before its maker.
    for (int i = edit_.graph().node_size() - 1; i >= 0; --i) {
      visit(i);
    }
    if (plan_.weighted.empty()) {
      return Error{Error::Code::kModelLoad,
                   "onnx: nothing to quantize: no Conv, Gemm or MatMul with constant float32 "
                   "weights"};
    }
    std::reverse(plan_.weighted.begin(), plan_.weighted.end());
    for (const int index : plan_.integer_nodes) {
      const auto& node = edit_.graph().node(index);
      if (passes_through(node) && plan_.values.contains(node.output(0))) {
        join(node.input(0), node.output(0));
      }
    }
    for (const auto& value : plan_.values) {
      plan_.groups[value] = find(value);
    }
    return std::move(plan_);
  }

 private:
  void visit(int index) {
    const auto& node = edit_.graph().node(index);
    if (const auto weighted = as_weighted(edit_, index)) {
      plan_.weighted.push_back(*weighted);
    } else {
      const bool useful =
          std::any_of(node.output().begin(), node.output().end(), [this](const auto& out) {
            return plan_.values.contains(out);
          });
      const bool can = passes_through(node) || has_integer_form(node);
      // A constant operand would need a scale of its own; such a node stays float.
      const bool plain =
          passes_through(node) ||
          std::none_of(node.input().begin(), node.input().end(), [this](const auto& input) {
            return edit_.constant(input) != nullptr;
          });
      if (!useful || !can || !plain) {
        return;
      }
    }
    plan_.integer_nodes.insert(index);
    for (auto& value : activations(edit_, node)) {
      plan_.values.insert(std::move(value));
    }
  }

  std::string find(const std::string& value) {
    auto& parent = parents_.try_emplace(value, value).first->second;
    if (parent == value) {
      return value;
    }
    std::string root = find(std::string{parent});
    parents_[value] = root;
    return root;
  }

  void join(const std::string& a, const std::string& b) {
    const std::string root = find(a);
    parents_[find(b)] = root;
  }

  const ModelEdit& edit_;
  QuantizePlan plan_;
  std::map<std::string, std::string> parents_;
};

}  // namespace

Result<QuantizePlan> make_plan(const ModelEdit& edit) {
  return Planner{edit}.run();
}

}  // namespace skerry::runtime::onnx_tools
