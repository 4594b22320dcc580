#include "skerry/registry/onnx_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "memory_file.hpp"
#include "onnx_bytes.hpp"

namespace skerry::registry {
namespace {

using test::float_bytes;
using test::MemoryFile;
using test::onnx_model;
using test::onnx_node;
using test::onnx_opset;
using test::onnx_small_graph;
using test::onnx_small_model;
using test::onnx_tensor;
using test::onnx_value;
using test::Proto;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<OnnxSummary> check(const std::string& bytes, const OnnxLimits& limits = {}) {
  MemoryFile file{bytes};
  return check_onnx(file, limits);
}

TEST(OnnxCheck, SummarisesAWellFormedModel) {
  const auto summary = check(onnx_small_model());
  ASSERT_TRUE(summary) << summary.error().to_string();
  EXPECT_EQ(summary->ir_version, 8);
  EXPECT_EQ(summary->opset, 13);
  EXPECT_EQ(summary->producer, "test");
  EXPECT_EQ(summary->nodes, 2U);
  EXPECT_EQ(summary->initializers, 1U);
  EXPECT_EQ(summary->parameters, 6U);
  EXPECT_EQ(summary->parameter_bytes, 24U);
  EXPECT_EQ(summary->operators.at("Relu"), 1U);
  EXPECT_FALSE(summary->quantized);
  ASSERT_EQ(summary->inputs.size(), 1U);
  EXPECT_EQ(summary->inputs[0].name, "x");
  EXPECT_EQ(summary->inputs[0].type, "float32");
  EXPECT_THAT(summary->inputs[0].shape, ElementsAre(-1, 3));
  ASSERT_EQ(summary->outputs.size(), 1U);
  EXPECT_THAT(summary->outputs[0].shape, ElementsAre(-1, 2));
}

TEST(OnnxCheck, LeavesInitializersOutOfTheInputs) {
  const auto summary =
      check(onnx_model(onnx_small_graph().message(11, onnx_value("w", 1, {3, 2}))));
  ASSERT_TRUE(summary) << summary.error().to_string();
  ASSERT_EQ(summary->inputs.size(), 1U);
  EXPECT_EQ(summary->inputs[0].name, "x");
}

TEST(OnnxCheck, NoticesQuantizedOperators) {
  const auto summary = check(onnx_model(
      onnx_small_graph().message(1, onnx_node("DequantizeLinear", {"q", "s", "z"}, {"d"}))));
  ASSERT_TRUE(summary) << summary.error().to_string();
  EXPECT_TRUE(summary->quantized);
}

TEST(OnnxCheck, AdmitsDomainsThatTheModelDefines) {
  const Proto function =
      Proto{}.bytes(1, "f").bytes(10, "local").message(7, onnx_node("Relu", {"a"}, {"b"}));
  const Proto call = onnx_node("f", {"h"}, {"z"}, Proto{}.bytes(7, "local"));
  const auto with_function =
      check(onnx_model(onnx_small_graph().message(1, call), Proto{}.message(25, function)));
  EXPECT_TRUE(with_function) << with_function.error().to_string();
  const auto without = check(onnx_model(onnx_small_graph().message(1, call)));
  ASSERT_FALSE(without);
  EXPECT_THAT(without.error().message(), HasSubstr("domain 'local' is not admitted"));
}

Proto external(std::string_view location, std::string_view offset, std::string_view length) {
  return Proto{}
      .varint(1, 4)
      .varint(2, 1)
      .bytes(8, "e")
      .varint(14, 1)
      .message(13, Proto{}.bytes(1, "location").bytes(2, location))
      .message(13, Proto{}.bytes(1, "offset").bytes(2, offset))
      .message(13, Proto{}.bytes(1, "length").bytes(2, length));
}

TEST(OnnxCheck, AdmitsExternalDataThatTheManifestLists) {
  OnnxLimits limits;
  limits.external_files["weights.bin"] = 64;
  const std::string model =
      onnx_model(onnx_small_graph().message(5, external("weights.bin", "48", "16")));
  const auto summary = check(model, limits);
  ASSERT_TRUE(summary) << summary.error().to_string();
  EXPECT_THAT(summary->external_files, ElementsAre("weights.bin"));
  EXPECT_EQ(summary->parameter_bytes, 24U + 16);
}

struct HostileRow {
  std::string name;
  std::string bytes;
  std::string message;
  Error::Code code = Error::Code::kModelFormat;
};

void PrintTo(const HostileRow& row, std::ostream* out) {
  *out << row.name;
}

HostileRow graph_row(std::string name, const Proto& fields, std::string message) {
  return {std::move(name), onnx_model(onnx_small_graph().raw(fields.str())), std::move(message)};
}

HostileRow tensor_row(std::string name, const Proto& tensor, std::string message) {
  return graph_row(std::move(name), Proto{}.message(5, tensor), std::move(message));
}

HostileRow external_row(std::string name,
                        std::string_view location,
                        std::string_view offset,
                        std::string_view length,
                        std::string message) {
  return tensor_row(std::move(name), external(location, offset, length), std::move(message));
}

Proto attribute(std::uint32_t field, const Proto& value, std::uint64_t type) {
  return Proto{}.message(5, Proto{}.bytes(1, "a").message(field, value).varint(20, type));
}

Proto nested_graphs(int depth) {
  Proto graph = Proto{}.bytes(2, "inner");
  for (int i = 0; i < depth; ++i) {
    graph =
        Proto{}.bytes(2, "outer").message(1, onnx_node("If", {"c"}, {}, attribute(6, graph, 5)));
  }
  return graph;
}

Proto nested_types(int depth) {
  Proto type = Proto{}.message(1, Proto{}.varint(1, 1));
  for (int i = 0; i < depth; ++i) {
    type = Proto{}.message(4, Proto{}.message(1, type));
  }
  return Proto{}.bytes(1, "v").message(2, type);
}

std::vector<HostileRow> wire_rows() {
  const std::string over_long(10, '\xff');
  return {
      {"empty", "", "ir_version is 0"},
      {"text", "this is not a model at all", "wire type"},
      {"truncated_tag", onnx_small_model() + "\x88", "truncated"},
      {"long_varint", "\x08" + over_long + "\x01", "more than 64 bits"},
      {"group", onnx_small_model() + "\x0b", "wire type 3"},
      {"field_zero", onnx_small_model() + std::string("\x00\x01", 2), "field number out of range"},
      {"unknown_field", onnx_small_model() + Proto{}.varint(99, 1).str(), "unknown field 99"},
      {"wrong_wire_type", Proto{}.bytes(1, "8").str(), "has wire type 2, expected 0"},
      {"graph_as_number", Proto{}.varint(1, 8).varint(7, 1).str(), "has wire type 0, expected 2"},
      {"length_beyond_file", Proto{}.varint(1, 8).raw("\x3a\x7f").str(), "reaches beyond"},
      {"length_of_2_to_63",
       Proto{}.varint(1, 8).raw("\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f").str(),
       "reaches beyond"},
      {"second_graph",
       onnx_small_model() + Proto{}.message(7, onnx_small_graph()).str(),
       "field 7 occurs twice"},
      {"second_ir_version", onnx_small_model() + Proto{}.varint(1, 8).str(), "occurs twice"},
      {"no_graph", Proto{}.varint(1, 8).message(8, onnx_opset("", 13)).str(), "no graph"},
      {"no_opset", Proto{}.varint(1, 8).message(7, onnx_small_graph()).str(), "no version"},
      {"opset_twice",
       onnx_model(onnx_small_graph(), Proto{}.message(8, onnx_opset("ai.onnx", 14))),
       "imported twice"},
      {"old_opset",
       Proto{}.varint(1, 8).message(7, onnx_small_graph()).message(8, onnx_opset("", 1)).str(),
       "opset 1, expected 7"},
      {"future_ir",
       Proto{}.varint(1, 99).message(7, onnx_small_graph()).message(8, onnx_opset("", 13)).str(),
       "ir_version is 99"},
      {"negative_ir",
       Proto{}.varint(1, ~0ULL).message(7, onnx_small_graph()).message(8, onnx_opset("", 13)).str(),
       "ir_version is -1"},
      {"training_info", onnx_model(onnx_small_graph(), Proto{}.message(20, Proto{})), "training"},
      {"producer_not_utf8", Proto{}.bytes(2, "\xc0\xaf").str(), "not UTF-8"},
      {"name_with_nul", Proto{}.bytes(2, std::string_view{"a\0b", 3}).str(), "without NUL"},
      {"name_too_long",
       Proto{}.bytes(2, std::string(2000, 'a')).str(),
       "has 2000 bytes, at most 1024",
       Error::Code::kTooLarge},
  };
}

std::vector<HostileRow> graph_rows() {
  HostileRow depth =
      graph_row("subgraphs_too_deep", Proto{}.message(1, nested_graphs(1)), "wire type");
  depth.bytes = onnx_model(onnx_small_graph().message(
      1, onnx_node("If", {"c"}, {"i"}, attribute(6, nested_graphs(9), 5))));
  depth.message = "subgraphs nest deeper than 8";
  depth.code = Error::Code::kTooLarge;
  HostileRow types =
      graph_row("types_too_deep", Proto{}.message(13, nested_types(9)), "types nest deeper than 4");
  types.code = Error::Code::kTooLarge;
  Proto many;
  for (int i = 0; i < 17; ++i) {
    many.varint(1, 1);
  }
  HostileRow rank =
      tensor_row("rank_17", Proto{many}.varint(2, 1).bytes(8, "r"), "more than 16 dimensions");
  rank.code = Error::Code::kTooLarge;
  return {
      depth,
      types,
      rank,
      graph_row("unknown_graph_field", Proto{}.varint(3, 1), "graph: unknown field 3"),
      graph_row("sparse_initializer", Proto{}.message(15, Proto{}), "sparse initializers"),
      graph_row("foreign_domain",
                Proto{}.message(1, onnx_node("X", {}, {"z"}, Proto{}.bytes(7, "evil"))),
                "domain 'evil' is not admitted"),
      graph_row(
          "compiled_context",
          Proto{}.message(1, onnx_node("EPContext", {}, {"z"}, Proto{}.bytes(7, "com.microsoft"))),
          "EPContext is not admitted"),
      graph_row("op_type_missing", Proto{}.message(1, Proto{}.bytes(2, "z")), "op_type is missing"),
      graph_row("op_type_with_slash", Proto{}.message(1, onnx_node("a/b", {}, {"z"})), "op_type"),
      graph_row("value_defined_twice",
                Proto{}.message(1, onnx_node("Relu", {"h"}, {"y"})),
                "node[2]: 'y' is defined twice"),
      graph_row("node_redefines_input",
                Proto{}.message(1, onnx_node("Relu", {"h"}, {"x"})),
                "'x' is defined by a node and by an input"),
      graph_row("output_without_source",
                Proto{}.message(12, onnx_value("nowhere", 1, {1})),
                "output 'nowhere' is computed by no node"),
      graph_row(
          "input_of_sequence", Proto{}.message(11, nested_types(1)), "input 'v' is no tensor"),
      graph_row(
          "element_type_99", Proto{}.message(11, onnx_value("v", 99, {1})), "element type 99"),
      graph_row("negative_dimension",
                Proto{}.message(
                    13,
                    Proto{}.bytes(1, "v").message(
                        2,
                        Proto{}.message(
                            1, Proto{}.message(2, Proto{}.message(1, Proto{}.varint(1, ~1ULL)))))),
                "a negative dimension"),
      graph_row(
          "attribute_of_two_kinds",
          Proto{}.message(
              1,
              onnx_node("X",
                        {},
                        {"z"},
                        Proto{}.message(5, Proto{}.bytes(1, "a").varint(3, 1).float32(2, 1.0F)))),
          "values of two kinds"),
      graph_row(
          "attribute_of_other_type",
          Proto{}.message(
              1,
              onnx_node("X",
                        {},
                        {"z"},
                        Proto{}.message(5, Proto{}.bytes(1, "a").varint(3, 1).varint(20, 1)))),
          "another type than it declares"),
      graph_row(
          "attribute_without_type",
          Proto{}.message(
              1, onnx_node("X", {}, {"z"}, Proto{}.message(5, Proto{}.bytes(1, "a").varint(3, 1)))),
          "unknown type 0"),
      graph_row("attribute_twice",
                Proto{}.message(1,
                                onnx_node("X",
                                          {},
                                          {"z"},
                                          Proto{}
                                              .message(5, Proto{}.bytes(1, "a").varint(20, 2))
                                              .message(5, Proto{}.bytes(1, "a").varint(20, 2)))),
                "attribute 'a' occurs twice"),
      graph_row("sparse_attribute",
                Proto{}.message(1, onnx_node("X", {}, {"z"}, attribute(22, Proto{}, 11))),
                "sparse tensors are not admitted"),
      graph_row(
          "bad_tensor_in_attribute",
          Proto{}.message(
              1,
              onnx_node("Constant", {}, {"z"}, attribute(5, onnx_tensor("c", {2}, 1, "abc"), 4))),
          "node[2].attribute[0].tensor: tensor 'c' has 3 bytes"),
  };
}

std::vector<HostileRow> tensor_rows() {
  return {
      tensor_row(
          "raw_too_short", onnx_tensor("t", {2, 2}, 1, "abc"), "3 bytes of raw data, its shape"),
      tensor_row("raw_too_long", onnx_tensor("t", {1}, 3, "ab"), "need 1"),
      tensor_row("raw_int4", onnx_tensor("t", {3}, 22, "a"), "need 2"),
      tensor_row("negative_dim", onnx_tensor("t", {-1}, 1, ""), "negative dimension"),
      tensor_row("dims_overflow", onnx_tensor("t", {1LL << 40, 1LL << 40}, 1, ""), "too large"),
      tensor_row("undefined_type", onnx_tensor("t", {0}, 0, ""), "unknown data type 0"),
      tensor_row("unknown_type", onnx_tensor("t", {0}, 77, ""), "unknown data type 77"),
      tensor_row("raw_strings", onnx_tensor("t", {1}, 8, "abcd"), "raw data"),
      tensor_row("no_name", Proto{}.varint(1, 0).varint(2, 1), "the name is missing"),
      tensor_row("name_twice", onnx_tensor("w", {0}, 1, ""), "'w' is defined twice"),
      tensor_row("no_data", Proto{}.varint(1, 4).varint(2, 1).bytes(8, "t"), "0 values"),
      tensor_row("wrong_typed_field",
                 Proto{}.varint(1, 1).varint(2, 1).bytes(8, "t").varint(7, 5),
                 "field of another type"),
      tensor_row("typed_and_raw",
                 onnx_tensor("t", {1}, 1, "abcd").float32(4, 1.0F),
                 "4 bytes of raw data"),
      tensor_row("packed_not_a_multiple",
                 Proto{}.varint(1, 1).varint(2, 1).bytes(8, "t").bytes(4, "abc"),
                 "no multiple of their width"),
      tensor_row("packed_varint_cut",
                 Proto{}.varint(1, 1).varint(2, 7).bytes(8, "t").bytes(7, "\xff"),
                 "reaches beyond"),
      tensor_row("segment", Proto{}.message(3, Proto{}), "segmented"),
      tensor_row("unknown_field", Proto{}.varint(40, 1), "unknown field 40"),
      tensor_row("unknown_location", Proto{}.varint(14, 2), "data_location 2"),
      external_row("external_unlisted", "weights.bin", "0", "16", "the manifest does not list"),
      external_row("external_parent", "../weights.bin", "0", "16", "not a plain file name"),
      external_row("external_absolute", "/etc/passwd", "0", "16", "not a plain file name"),
      external_row("external_backslash", "a\\b", "0", "16", "not a plain file name"),
      external_row("external_url", "http:x", "0", "16", "not a plain file name"),
      external_row("external_dot", ".", "0", "16", "not a plain file name"),
      external_row("external_empty", "", "0", "16", "not a plain file name"),
      external_row("external_nul", std::string_view{"a\0", 2}, "0", "16", "without NUL"),
      external_row("external_offset_text", "w", "-1", "16", "offset is not a number"),
      external_row(
          "external_length_huge", "w", "0", "99999999999999999999", "length is not a number"),
      external_row("external_no_number", "w", "0x10", "16", "offset is not a number"),
      tensor_row("external_unknown_key",
                 external("w", "0", "16").message(13, Proto{}.bytes(1, "basepath").bytes(2, "/")),
                 "unknown key 'basepath'"),
      tensor_row("external_key_twice",
                 external("w", "0", "16").message(13, Proto{}.bytes(1, "location").bytes(2, "v")),
                 "'location' twice"),
      tensor_row("external_and_raw",
                 external("w", "0", "16").bytes(9, "0123456789abcdef"),
                 "both outside and inside"),
      tensor_row(
          "external_not_declared",
          onnx_tensor("t", {1}, 3, "a").message(13, Proto{}.bytes(1, "location").bytes(2, "w")),
          "not stored outside"),
  };
}

class OnnxHostile : public ::testing::TestWithParam<HostileRow> {};

TEST_P(OnnxHostile, IsRefused) {
  const auto summary = check(GetParam().bytes);
  ASSERT_FALSE(summary);
  EXPECT_EQ(summary.error().code(), GetParam().code) << summary.error().to_string();
  EXPECT_THAT(summary.error().message(), HasSubstr(GetParam().message));
  EXPECT_THAT(summary.error().message(), HasSubstr("at offset "));
}

const auto kRowName = [](const auto& row) { return row.param.name; };
INSTANTIATE_TEST_SUITE_P(Wire, OnnxHostile, ::testing::ValuesIn(wire_rows()), kRowName);
INSTANTIATE_TEST_SUITE_P(Graph, OnnxHostile, ::testing::ValuesIn(graph_rows()), kRowName);
INSTANTIATE_TEST_SUITE_P(Tensor, OnnxHostile, ::testing::ValuesIn(tensor_rows()), kRowName);

TEST(OnnxCheck, ChecksExternalDataAgainstTheFileItNames) {
  OnnxLimits limits;
  limits.external_files["w"] = 20;
  const auto check_with = [&](std::string_view offset, std::string_view length) {
    return check(onnx_model(onnx_small_graph().message(5, external("w", offset, length))), limits);
  };
  EXPECT_TRUE(check_with("4", "16"));
  const auto beyond = check_with("5", "16");
  ASSERT_FALSE(beyond);
  EXPECT_THAT(beyond.error().message(), HasSubstr("beyond the 20 bytes of 'w'"));
  const auto wraps = check_with("18446744073709551615", "16");
  ASSERT_FALSE(wraps);
  const auto other = check_with("0", "12");
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message(), HasSubstr("has 12 bytes, its shape and type need 16"));
}

TEST(OnnxCheck, RefusesEveryTruncation) {
  const std::string whole = onnx_small_model();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    ASSERT_FALSE(check(whole.substr(0, length))) << length;
  }
}

TEST(OnnxCheck, SurvivesEveryByteChanged) {
  const std::string whole = onnx_small_model();
  std::size_t refused = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const char value : {'\x00', '\x7f', '\x80', '\xff'}) {
      std::string changed = whole;
      changed[at] = value;
      refused += check(changed) ? 0U : 1U;
    }
  }
  EXPECT_GT(refused, whole.size());
}

TEST(OnnxCheck, StepsOverWeightsWithoutReadingThem) {
  const std::string weights(8U << 20U, '\x11');
  const std::string model =
      onnx_model(onnx_small_graph().message(5, onnx_tensor("big", {8 << 20}, 3, weights)));
  OnnxLimits limits;
  limits.max_structure_bytes = 4096;
  const auto summary = check(model, limits);
  ASSERT_TRUE(summary) << summary.error().to_string();
  EXPECT_EQ(summary->parameter_bytes, (8U << 20U) + 24);
}

TEST(OnnxCheck, BoundsStructure) {
  OnnxLimits limits;
  limits.max_structure_bytes = 64;
  const auto summary = check(onnx_small_model(), limits);
  ASSERT_FALSE(summary);
  EXPECT_EQ(summary.error().code(), Error::Code::kTooLarge);
}

TEST(OnnxCheck, BoundsTheFile) {
  MemoryFile file{onnx_small_model()};
  file.claim_size(std::uint64_t{1} << 31U);
  const auto summary = check_onnx(file);
  ASSERT_FALSE(summary);
  EXPECT_EQ(summary.error().code(), Error::Code::kTooLarge);
  EXPECT_THAT(summary.error().message(), HasSubstr("external data"));
}

}  // namespace
}  // namespace skerry::registry
