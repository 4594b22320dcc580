#pragma once

// Decides which values of a graph are quantized, without looking at data: the plan. Used by the
// quantizer.
//
// A value is quantized if an integer operator gets something from it: it feeds an operator with
// weights (Conv, Gemm, MatMul), or one that can pass integers on (pooling, addition, reshaping)
// towards such an operator. So the last layer's result and all that follows stay float32.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "model_edit.hpp"

namespace skerry::runtime::onnx_tools {

struct WeightedNode {
  int node = 0;
  std::string weight;
  // The axis of output channels; -1: one scale for all.
  int axis = -1;
  // Empty: no bias, or one that cannot be quantized.
  std::string bias;
};

struct QuantizePlan {
  // Values that get a QuantizeLinear/DequantizeLinear pair.
  std::set<std::string> values;
  // Value → representative of those that share one scale because only their shape differs.
  std::map<std::string, std::string> groups;
  std::vector<WeightedNode> weighted;
  // Nodes whose inputs are taken from the dequantized values.
  std::set<int> integer_nodes;
};

// kModelLoad if nothing can be quantized.
Result<QuantizePlan> make_plan(const ModelEdit& edit);

}  // namespace skerry::runtime::onnx_tools
