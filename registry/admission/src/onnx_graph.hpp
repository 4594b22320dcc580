#pragma once

// GraphProto with its nodes, attributes, subgraphs and types, and FunctionProto. Used by the ONNX
// check.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "skerry/registry/onnx_check.hpp"

#include "onnx_tensor.hpp"
#include "onnx_value.hpp"
#include "onnx_wire.hpp"

namespace skerry::registry::onnx {

class GraphReader {
 public:
  GraphReader(Wire& wire, const OnnxLimits& limits, OnnxSummary& summary)
      : wire_(wire),
        limits_(limits),
        summary_(summary),
        tensors_(wire, limits),
        values_(wire, limits) {}

  // The model's own graph; fills inputs and outputs of the summary.
  void read_main_graph(std::uint64_t end);
  // One FunctionProto; its domain becomes one that nodes may use.
  void read_function(std::uint64_t end);
  // After the whole model: operators of domains that are neither admitted nor defined by a function
  // of the model fail. Completes the summary.
  void finish();

 private:
  struct Names;

  void read_graph(std::uint64_t end, std::uint64_t depth);
  void read_graph_field(const Field& field, std::uint64_t end, std::uint64_t depth, Names& names);
  void define(const Field& field, std::set<std::string>& names, const std::string& name);
  void check_names(std::uint64_t at, const Names& names, std::uint64_t depth);
  void read_node(std::uint64_t end, std::uint64_t depth, std::set<std::string>* outputs);
  void note_operator(std::uint64_t at, const std::string& domain, const std::string& type);
  void read_attribute(std::uint64_t end, std::uint64_t depth, std::set<std::string>& names);
  void read_attribute_value(const Field& field,
                            std::uint64_t end,
                            std::uint64_t depth,
                            std::uint32_t& kind);
  void read_numbers(const Field& field, std::uint64_t end, WireType type);
  void read_constant(std::uint64_t end);

  Wire& wire_;
  const OnnxLimits& limits_;
  OnnxSummary& summary_;
  TensorReader tensors_;
  ValueReader values_;
  std::set<std::string> function_domains_;
  // Domains outside the admitted ones, with the offset of the first node.
  std::map<std::string, std::uint64_t> foreign_domains_;
};

}  // namespace skerry::registry::onnx
