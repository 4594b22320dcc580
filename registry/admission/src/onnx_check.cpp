#include "skerry/registry/onnx_check.hpp"

#include <map>
#include <utility>

#include "file_cursor.hpp"
#include "onnx_graph.hpp"
#include "onnx_wire.hpp"

namespace skerry::registry {

namespace {

using onnx::Field;
using onnx::Wire;

class ModelReader {
 public:
  ModelReader(Wire& wire, const OnnxLimits& limits)
      : wire_(wire), limits_(limits), graph_(wire, limits, summary_) {}

  OnnxSummary run(std::uint64_t size);

 private:
  void read_field(const Field& field, std::uint64_t end);
  void read_opset(std::uint64_t end);
  void check_versions();

  Wire& wire_;
  const OnnxLimits& limits_;
  OnnxSummary summary_;
  onnx::GraphReader graph_;
  std::map<std::string, std::int64_t> opsets_;
  bool has_graph_ = false;
  std::uint64_t functions_ = 0;
};

OnnxSummary ModelReader::run(std::uint64_t size) {
  summary_.file_bytes = size;
  onnx::Once once;
  Field field;
  while (wire_.next(size, field)) {
    // A second graph would be merged into the first by a lenient reader.
    const bool repeated =
        field.number == 8 || field.number == 14 || field.number == 25 || field.number == 26;
    if (!repeated) {
      once.check(wire_, field);
    }
    read_field(field, size);
  }
  if (wire_.ok()) {
    check_versions();
  }
  if (wire_.ok()) {
    graph_.finish();
  }
  return std::move(summary_);
}

void ModelReader::read_field(const Field& field, std::uint64_t end) {
  switch (field.number) {
    case 1:
      summary_.ir_version = wire_.integer(field);
      break;
    case 2:
      summary_.producer = wire_.text(field, end, limits_.max_name_bytes);
      break;
    case 3:  // producer_version
    case 4:  // domain
      wire_.text(field, end, limits_.max_name_bytes);
      break;
    case 5:  // model_version
      wire_.integer(field);
      break;
    case 6:   // doc_string
    case 26:  // configuration
      wire_.skip_bytes(field, end);
      break;
    case 7:
      has_graph_ = true;
      graph_.read_main_graph(wire_.open(field, end));
      break;
    case 8: {
      const Wire::Scope scope{wire_, "opset_import"};
      read_opset(wire_.open(field, end));
      break;
    }
    case 14: {
      const Wire::Scope scope{wire_, "metadata_props"};
      onnx::read_pair(wire_, wire_.open(field, end), limits_);
      break;
    }
    case 20:
      wire_.fail(field.at, "training information is not admitted");
      break;
    case 25: {
      const Wire::Scope scope{wire_, "functions[" + std::to_string(functions_++) + "]"};
      graph_.read_function(wire_.open(field, end));
      break;
    }
    default:
      wire_.unknown(field);
  }
}

void ModelReader::read_opset(std::uint64_t end) {
  const std::uint64_t at = wire_.position();
  std::string domain;
  std::int64_t version = 0;
  onnx::Once once;
  Field field;
  while (wire_.next(end, field)) {
    once.check(wire_, field);
    if (field.number == 1) {
      domain = wire_.text(field, end, limits_.max_name_bytes);
    } else if (field.number == 2) {
      version = wire_.integer(field);
    } else {
      wire_.unknown(field);
    }
  }
  if (domain == "ai.onnx") {
    domain.clear();
  }
  if (wire_.ok() && !opsets_.emplace(domain, version).second) {
    wire_.fail(at, "domain '" + domain + "' is imported twice");
  }
  if (wire_.ok() && opsets_.size() > 64) {
    wire_.fail_limit(at, "more than 64 domains");
  }
}

void ModelReader::check_versions() {
  if (summary_.ir_version < limits_.min_ir_version ||
      summary_.ir_version > limits_.max_ir_version) {
    wire_.fail(0,
               "ir_version is " + std::to_string(summary_.ir_version) + ", expected " +
                   std::to_string(limits_.min_ir_version) + " to " +
                   std::to_string(limits_.max_ir_version));
    return;
  }
  if (!has_graph_) {
    wire_.fail(0, "no graph");
    return;
  }
  const auto standard = opsets_.find("");
  if (standard == opsets_.end()) {
    wire_.fail(0, "opset_import has no version of the ai.onnx domain");
    return;
  }
  summary_.opset = standard->second;
  if (summary_.opset < limits_.min_opset || summary_.opset > limits_.max_opset) {
    wire_.fail(0,
               "opset " + std::to_string(summary_.opset) + ", expected " +
                   std::to_string(limits_.min_opset) + " to " + std::to_string(limits_.max_opset));
  }
}

}  // namespace

Result<OnnxSummary> check_onnx(File& file, const OnnxLimits& limits) {
  const auto status = file.status();
  if (!status) {
    return status.error().with_context("onnx");
  }
  if (status->size > limits.max_file_bytes) {
    return Error{Error::Code::kTooLarge,
                 "onnx: the file has " + std::to_string(status->size) + " bytes, at most " +
                     std::to_string(limits.max_file_bytes) +
                     "; keep large weights in external data"};
  }
  FileCursor cursor{file, "onnx", status->size, limits.max_structure_bytes};
  Wire wire{cursor};
  OnnxSummary summary = ModelReader{wire, limits}.run(status->size);
  if (!cursor.ok()) {
    return cursor.error();
  }
  return summary;
}

}  // namespace skerry::registry
