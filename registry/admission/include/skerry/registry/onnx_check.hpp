#pragma once

// Admission of an ONNX file: a strict walk over the protobuf bytes that runs before any engine sees
// them. The agent calls it when all blobs of a variant are present, the command line before it
// uploads. What is read and what is refused: docs/formats/admission.md.
//
// Weights are never read into memory: they are measured and stepped over. The calls block, keep no
// state and may run on any thread.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

namespace skerry::registry {

struct OnnxLimits {
  // protobuf itself stops at 2 GiB.
  std::uint64_t max_file_bytes = (std::uint64_t{1} << 31U) - 1;
  // Everything that is not the raw data of a tensor.
  std::uint64_t max_structure_bytes = 64U << 20U;
  std::uint64_t max_string_bytes = 1U << 20U;
  std::uint64_t max_name_bytes = 1024;
  // Over the graph, its subgraphs and the model's functions.
  std::uint64_t max_nodes = 1U << 17U;
  std::uint64_t max_initializers = 1U << 16U;
  std::uint64_t max_graph_values = 4096;
  std::uint64_t max_node_values = 4096;
  std::uint64_t max_attributes = 256;
  std::uint64_t max_rank = 16;
  // If, Loop and Scan inside one another.
  std::uint64_t max_subgraph_depth = 8;
  std::uint64_t max_type_depth = 4;
  std::int64_t min_ir_version = 3;
  std::int64_t max_ir_version = 13;
  std::int64_t min_opset = 7;
  std::int64_t max_opset = 30;
  // Files that a tensor's external data may name, with their sizes: those that the signed manifest
  // lists beside the model. Empty: external data is refused.
  std::map<std::string, std::uint64_t> external_files;
};

struct OnnxValue {
  std::string name;
  // "float32", "int64" …
  std::string type;
  // -1 for a dimension that the caller chooses. `has_shape` is false where not even the rank is
  // given.
  std::vector<std::int64_t> shape;
  bool has_shape = false;
};

struct OnnxSummary {
  std::int64_t ir_version = 0;
  // Of the default domain.
  std::int64_t opset = 0;
  std::string producer;
  std::vector<OnnxValue> inputs;
  std::vector<OnnxValue> outputs;
  std::uint64_t nodes = 0;
  std::uint64_t initializers = 0;
  // Elements and bytes over all initializers and constant attributes.
  std::uint64_t parameters = 0;
  std::uint64_t parameter_bytes = 0;
  // "Conv", "com.microsoft:MatMulNBits" … with how often each occurs.
  std::map<std::string, std::uint64_t> operators;
  // True when weights or activations are quantized (any QDQ or integer operator).
  bool quantized = false;
  // External files that are really named.
  std::vector<std::string> external_files;
  std::uint64_t file_bytes = 0;
};

// Reads and checks the whole structure of `file`. kModelFormat says what is wrong, where (byte
// offset and the path of the message) and what was expected; kTooLarge when a limit is passed; kIo
// if the file cannot be read. `file` is not kept.
Result<OnnxSummary> check_onnx(File& file, const OnnxLimits& limits = {});

}  // namespace skerry::registry
