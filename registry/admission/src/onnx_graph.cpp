#include "onnx_graph.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace skerry::registry::onnx {

namespace {

// AttributeProto: value field by declared type (the enum AttributeType).
struct AttributeKind {
  std::int64_t type;
  std::uint32_t field;
};

constexpr std::array<AttributeKind, 14> kAttributeKinds{{
    {1, 2},    // FLOAT
    {2, 3},    // INT
    {3, 4},    // STRING
    {4, 5},    // TENSOR
    {5, 6},    // GRAPH
    {6, 7},    // FLOATS
    {7, 8},    // INTS
    {8, 9},    // STRINGS
    {9, 10},   // TENSORS
    {10, 11},  // GRAPHS
    {11, 22},  // SPARSE_TENSOR
    {12, 23},  // SPARSE_TENSORS
    {13, 14},  // TYPE_PROTO
    {14, 15},  // TYPE_PROTOS
}};

bool is_admitted_domain(std::string_view domain) {
  return domain.empty() || domain == "ai.onnx" || domain == "ai.onnx.ml" ||
         domain == "com.microsoft";
}

bool is_quantized_operator(std::string_view type) {
  constexpr std::array<std::string_view, 8> kNames{"QuantizeLinear",
                                                   "DequantizeLinear",
                                                   "DynamicQuantizeLinear",
                                                   "MatMulInteger",
                                                   "ConvInteger",
                                                   "MatMulNBits",
                                                   "GatherBlockQuantized",
                                                   "DynamicQuantizeMatMul"};
  return type.starts_with("QLinear") ||
         std::find(kNames.begin(), kNames.end(), type) != kNames.end();
}

bool is_identifier(std::string_view name) {
  return !name.empty() && name.size() <= 128 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == ':';
  });
}

std::string indexed(std::string_view name, std::uint64_t index) {
  return std::string{name} + "[" + std::to_string(index) + "]";
}

}  // namespace

// What one graph defines, for uniqueness.
struct GraphReader::Names {
  std::set<std::string> initializers;
  std::set<std::string> inputs;
  std::set<std::string> outputs;  // of nodes
  std::vector<OnnxValue> input_values;
  std::vector<OnnxValue> output_values;
  std::uint64_t nodes = 0;
  std::uint64_t values = 0;
};

void GraphReader::read_main_graph(std::uint64_t end) {
  const Wire::Scope scope{wire_, "graph"};
  read_graph(end, 0);
}

void GraphReader::read_graph(std::uint64_t end, std::uint64_t depth) {
  const std::uint64_t at = wire_.position();
  if (depth > limits_.max_subgraph_depth) {
    wire_.fail_limit(at,
                     "subgraphs nest deeper than " + std::to_string(limits_.max_subgraph_depth));
    return;
  }
  Names names;
  Once once;
  Field field;
  while (wire_.next(end, field)) {
    if (field.number == 2 || field.number == 10) {
      once.check(wire_, field);
    }
    read_graph_field(field, end, depth, names);
  }
  if (wire_.ok()) {
    check_names(at, names, depth);
  }
}

void GraphReader::read_graph_field(const Field& field,
                                   std::uint64_t end,
                                   std::uint64_t depth,
                                   Names& names) {
  switch (field.number) {
    case 1: {  // node
      const Wire::Scope scope{wire_, indexed("node", names.nodes++)};
      read_node(wire_.open(field, end), depth, &names.outputs);
      break;
    }
    case 2:  // name
      wire_.text(field, end, limits_.max_name_bytes);
      break;
    case 5: {  // initializer
      const Wire::Scope scope{wire_, indexed("initializer", names.initializers.size())};
      if (++summary_.initializers > limits_.max_initializers) {
        wire_.fail_limit(field.at,
                         "more than " + std::to_string(limits_.max_initializers) + " initializers");
      }
      const TensorFacts facts = tensors_.read(wire_.open(field, end));
      summary_.parameters += facts.elements;
      summary_.parameter_bytes += facts.bytes;
      define(field, names.initializers, facts.name);
      break;
    }
    case 10:  // doc_string
    case 14:  // quantization_annotation
    case 16:  // metadata_props
      wire_.skip_bytes(field, end);
      break;
    case 11:    // input
    case 12:    // output
    case 13: {  // value_info
      const std::string_view step =
          field.number == 11 ? "input" : (field.number == 12 ? "output" : "value_info");
      const Wire::Scope scope{wire_, indexed(step, names.values)};
      OnnxValue value = values_.read(wire_.open(field, end));
      if (field.number == 13) {
        break;
      }
      if (++names.values > limits_.max_graph_values) {
        wire_.fail_limit(
            field.at,
            "more than " + std::to_string(limits_.max_graph_values) + " inputs and outputs");
      }
      if (field.number == 11) {
        define(field, names.inputs, value.name);
        names.input_values.push_back(std::move(value));
      } else {
        names.output_values.push_back(std::move(value));
      }
      break;
    }
    case 15:
      wire_.fail(field.at, "sparse initializers are not admitted");
      break;
    default:
      wire_.unknown(field);
  }
}

void GraphReader::define(const Field& field,
                         std::set<std::string>& names,
                         const std::string& name) {
  if (!wire_.ok()) {
    return;
  }
  if (name.empty()) {
    wire_.fail(field.at, "the name is missing");
  } else if (!names.insert(name).second) {
    wire_.fail(field.at, "'" + name + "' is defined twice");
  }
}

void GraphReader::check_names(std::uint64_t at, const Names& names, std::uint64_t depth) {
  for (const auto& name : names.outputs) {
    if (names.inputs.contains(name) || names.initializers.contains(name)) {
      wire_.fail(at, "'" + name + "' is defined by a node and by an input or initializer");
      return;
    }
  }
  if (depth > 0) {
    return;
  }
  for (const OnnxValue& value : names.input_values) {
    if (names.initializers.contains(value.name)) {
      continue;  // IR 3 lists initializers among the inputs
    }
    if (value.type.empty()) {
      wire_.fail(at, "input '" + value.name + "' is no tensor of a known type");
      return;
    }
    summary_.inputs.push_back(value);
  }
  for (const OnnxValue& value : names.output_values) {
    const bool defined = names.outputs.contains(value.name) || names.inputs.contains(value.name) ||
                         names.initializers.contains(value.name);
    if (value.type.empty() || !defined) {
      wire_.fail(at,
                 "output '" + value.name + "' " +
                     (defined ? "is no tensor of a known type" : "is computed by no node"));
      return;
    }
  }
  summary_.outputs = names.output_values;
  if (summary_.outputs.empty()) {
    wire_.fail(at, "no outputs");
  }
}

void GraphReader::read_node(std::uint64_t end,
                            std::uint64_t depth,
                            std::set<std::string>* outputs) {
  const std::uint64_t at = wire_.position();
  if (++summary_.nodes > limits_.max_nodes) {
    wire_.fail_limit(at, "more than " + std::to_string(limits_.max_nodes) + " nodes");
  }
  std::string type;
  std::string domain;
  std::uint64_t values = 0;
  std::uint64_t attributes = 0;
  std::set<std::string> attribute_names;
  Once once;
  Field field;
  while (wire_.next(end, field)) {
    switch (field.number) {
      case 1:    // input
      case 2: {  // output
        const std::string name = wire_.text(field, end, limits_.max_name_bytes);
        if (++values > limits_.max_node_values) {
          wire_.fail_limit(
              field.at,
              "more than " + std::to_string(limits_.max_node_values) + " inputs and outputs");
        }
        if (field.number == 2 && outputs != nullptr && !name.empty()) {
          define(field, *outputs, name);
        }
        break;
      }
      case 3:  // name
        once.check(wire_, field);
        wire_.text(field, end, limits_.max_name_bytes);
        break;
      case 4:  // op_type
        once.check(wire_, field);
        type = wire_.text(field, end, limits_.max_name_bytes);
        break;
      case 5: {  // attribute
        if (++attributes > limits_.max_attributes) {
          wire_.fail_limit(field.at,
                           "more than " + std::to_string(limits_.max_attributes) + " attributes");
        }
        const Wire::Scope scope{wire_, indexed("attribute", attributes - 1)};
        read_attribute(wire_.open(field, end), depth, attribute_names);
        break;
      }
      case 6:   // doc_string
      case 9:   // metadata_props
      case 10:  // device_configurations
        wire_.skip_bytes(field, end);
        break;
      case 7:  // domain
        once.check(wire_, field);
        domain = wire_.text(field, end, limits_.max_name_bytes);
        break;
      case 8:  // overload
        once.check(wire_, field);
        wire_.text(field, end, limits_.max_name_bytes);
        break;
      default:
        wire_.unknown(field);
    }
  }
  note_operator(at, domain, type);
}

void GraphReader::note_operator(std::uint64_t at,
                                const std::string& domain,
                                const std::string& type) {
  if (!wire_.ok()) {
    return;
  }
  if (!is_identifier(type)) {
    wire_.fail(at, "op_type is missing or no identifier");
    return;
  }
  if (type == "EPContext") {
    // It carries or names an opaque compiled program.
    wire_.fail(at, "operator EPContext is not admitted");
    return;
  }
  if (!is_admitted_domain(domain)) {
    foreign_domains_.emplace(domain, at);
  }
  const bool standard = domain.empty() || domain == "ai.onnx";
  ++summary_.operators[standard ? type : domain + ":" + type];
  summary_.quantized = summary_.quantized || is_quantized_operator(type);
}

void GraphReader::read_attribute(std::uint64_t end,
                                 std::uint64_t depth,
                                 std::set<std::string>& names) {
  const std::uint64_t at = wire_.position();
  std::string name;
  std::int64_t type = 0;
  bool reference = false;
  std::uint32_t kind = 0;
  Once once;
  Field field;
  while (wire_.next(end, field)) {
    switch (field.number) {
      case 1:
        once.check(wire_, field);
        name = wire_.text(field, end, limits_.max_name_bytes);
        break;
      case 13:  // doc_string
        wire_.skip_bytes(field, end);
        break;
      case 20:
        once.check(wire_, field);
        type = wire_.integer(field);
        break;
      case 21:  // ref_attr_name, within functions
        once.check(wire_, field);
        wire_.text(field, end, limits_.max_name_bytes);
        reference = true;
        break;
      default:
        if (field.number <= 6 || field.number == 14) {
          once.check(wire_, field);
        }
        if (kind != 0 && kind != field.number) {
          wire_.fail(field.at, "an attribute with values of two kinds");
        }
        read_attribute_value(field, end, depth, kind);
    }
  }
  if (!wire_.ok()) {
    return;
  }
  if (name.empty() || !names.insert(name).second) {
    wire_.fail(
        at, name.empty() ? "an attribute without name" : "attribute '" + name + "' occurs twice");
    return;
  }
  const auto* declared = std::find_if(kAttributeKinds.begin(),
                                      kAttributeKinds.end(),
                                      [type](const auto& k) { return k.type == type; });
  if (declared == kAttributeKinds.end()) {
    wire_.fail(at, "attribute '" + name + "' has the unknown type " + std::to_string(type));
    return;
  }
  // A default value is not written, so an absent scalar or an empty list is right.
  if (kind != 0 && (reference || kind != declared->field)) {
    wire_.fail(at, "attribute '" + name + "' holds a value of another type than it declares");
  }
}

void GraphReader::read_attribute_value(const Field& field,
                                       std::uint64_t end,
                                       std::uint64_t depth,
                                       std::uint32_t& kind) {
  kind = field.number;
  switch (field.number) {
    case 2:  // f
      if (wire_.expect(field, WireType::kFixed32)) {
        wire_.cursor().skip(4);
      }
      break;
    case 3:  // i
      wire_.integer(field);
      break;
    case 4:  // s
    case 9:  // strings
      wire_.skip_bytes(field, end);
      break;
    case 5:     // t
    case 10: {  // tensors
      const Wire::Scope scope{wire_, "tensor"};
      read_constant(wire_.open(field, end));
      break;
    }
    case 6:     // g
    case 11: {  // graphs
      const Wire::Scope scope{wire_, "graph"};
      read_graph(wire_.open(field, end), depth + 1);
      break;
    }
    case 7:  // floats
      read_numbers(field, end, WireType::kFixed32);
      break;
    case 8:  // ints
      read_numbers(field, end, WireType::kVarint);
      break;
    case 14:    // tp
    case 15: {  // type_protos
      OnnxValue ignored;
      values_.read_type(wire_.open(field, end), ignored);
      break;
    }
    case 22:
    case 23:
      wire_.fail(field.at, "sparse tensors are not admitted");
      break;
    default:
      wire_.unknown(field);
  }
}

void GraphReader::read_numbers(const Field& field, std::uint64_t end, WireType type) {
  if (field.type == WireType::kBytes) {
    const std::uint64_t stop = wire_.open(field, end);
    if (type == WireType::kFixed32 && (stop - wire_.position()) % 4 != 0) {
      wire_.fail(field.at, "packed numbers whose length is no multiple of their width");
    }
    if (type == WireType::kFixed32) {
      wire_.cursor().skip(stop - wire_.position());
    }
    while (type == WireType::kVarint && wire_.ok() && wire_.position() < stop) {
      wire_.varint();
    }
    if (wire_.ok() && wire_.position() > stop) {
      wire_.fail(field.at, "a packed field reaches beyond its length");
    }
  } else if (wire_.expect(field, type)) {
    if (type == WireType::kFixed32) {
      wire_.cursor().skip(4);
    } else {
      wire_.varint();
    }
  }
}

void GraphReader::read_constant(std::uint64_t end) {
  const TensorFacts facts = tensors_.read(end);
  summary_.parameters += facts.elements;
  summary_.parameter_bytes += facts.bytes;
}

void GraphReader::read_function(std::uint64_t end) {
  const std::uint64_t at = wire_.position();
  std::set<std::string> outputs;
  std::set<std::string> attribute_names;
  std::string domain;
  std::uint64_t nodes = 0;
  Once once;
  Field field;
  while (wire_.next(end, field)) {
    switch (field.number) {
      case 1:   // name
      case 13:  // overload
        once.check(wire_, field);
        wire_.text(field, end, limits_.max_name_bytes);
        break;
      case 4:  // input
      case 5:  // output
      case 6:  // attribute
        wire_.text(field, end, limits_.max_name_bytes);
        break;
      case 7: {
        const Wire::Scope scope{wire_, indexed("node", nodes++)};
        read_node(wire_.open(field, end), 1, &outputs);
        break;
      }
      case 8:   // doc_string
      case 9:   // opset_import
      case 14:  // metadata_props
        wire_.skip_bytes(field, end);
        break;
      case 10:
        once.check(wire_, field);
        domain = wire_.text(field, end, limits_.max_name_bytes);
        break;
      case 11:  // attribute_proto
        read_attribute(wire_.open(field, end), 1, attribute_names);
        break;
      case 12:  // value_info
        values_.read(wire_.open(field, end));
        break;
      default:
        wire_.unknown(field);
    }
  }
  if (wire_.ok() && !once.has(1)) {
    wire_.fail(at, "a function without name");
  }
  function_domains_.insert(domain);
}

void GraphReader::finish() {
  for (const auto& [domain, at] : foreign_domains_) {
    if (!function_domains_.contains(domain)) {
      wire_.fail(at,
                 "operator domain '" + domain +
                     "' is not admitted (ai.onnx, ai.onnx.ml and com.microsoft are)");
      return;
    }
  }
  summary_.external_files.assign(tensors_.external_files().begin(),
                                 tensors_.external_files().end());
}

}  // namespace skerry::registry::onnx
