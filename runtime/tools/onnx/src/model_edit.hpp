#pragma once

// A ModelProto with the indexes that a rewrite needs: who makes and who uses a value, which values
// are constants, which names are taken. Used by the quantizer.

#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <onnx/onnx.pb.h>

#include "skerry/common/result.hpp"

namespace skerry::runtime::onnx_tools {

struct Use {
  int node = 0;
  int input = 0;
};

class ModelEdit {
 public:
  // Parses and indexes. kModelLoad for what the quantizer cannot work on.
  static Result<ModelEdit> parse(std::span<const std::byte> bytes);

  [[nodiscard]] const onnx::GraphProto& graph() const { return model_.graph(); }
  onnx::GraphProto& graph() { return *model_.mutable_graph(); }
  [[nodiscard]] const onnx::ModelProto& model() const { return model_; }
  onnx::ModelProto& model() { return model_; }

  // Uses by nodes of the graph itself, in node order.
  [[nodiscard]] std::span<const Use> uses(const std::string& value) const;
  // Null if the value is no constant of the graph.
  [[nodiscard]] const onnx::TensorProto* constant(const std::string& name) const;
  // A constant that is float32 and stored inside the model.
  [[nodiscard]] bool is_float_constant(const std::string& name) const;
  [[nodiscard]] bool is_graph_input(const std::string& name) const {
    return inputs_.contains(name);
  }
  // `base`, or `base` with a number where it is taken; taken from now on.
  std::string fresh_name(const std::string& base);
  // Whether nodes with graphs inside (If, Loop, Scan) exist, which may use any value.
  [[nodiscard]] bool has_subgraphs() const { return has_subgraphs_; }
  // The model's only float input that is no constant.
  [[nodiscard]] const onnx::ValueInfoProto& input() const { return *input_; }

  // Drops constants that no node uses any more.
  void drop_unused_constants();

 private:
  Result<void> index();
  Result<void> find_input();

  onnx::ModelProto model_;
  std::map<std::string, std::vector<Use>> uses_;
  std::map<std::string, int> constants_;
  std::set<std::string> inputs_;
  std::set<std::string> names_;
  bool has_subgraphs_ = false;
  const onnx::ValueInfoProto* input_ = nullptr;
};

// The values of a float32 constant.
std::vector<float> float_values(const onnx::TensorProto& tensor);
// Product of the dimensions.
std::size_t element_count(const onnx::TensorProto& tensor);

}  // namespace skerry::runtime::onnx_tools
