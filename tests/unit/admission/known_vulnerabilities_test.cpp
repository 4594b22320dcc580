// Every published hole that a model file could reach, as a file made again for this test: admission
// refuses it before an engine sees a byte. docs/formats/admission.md lists them, and those that no
// file can reach.

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skerry/registry/gguf_check.hpp"
#include "skerry/registry/onnx_check.hpp"

#include "gguf_bytes.hpp"
#include "memory_file.hpp"
#include "onnx_bytes.hpp"

namespace skerry::registry {
namespace {

using test::GgufBytes;
using test::MemoryFile;
using test::onnx_model;
using test::onnx_node;
using test::onnx_small_graph;
using test::Proto;
using ::testing::HasSubstr;

struct KnownHole {
  std::string name;  // the identifier, and what of it
  std::function<std::string()> file;
  std::string message;
};

void PrintTo(const KnownHole& hole, std::ostream* out) {
  *out << hole.name;
}

class KnownVulnerabilities : public ::testing::TestWithParam<KnownHole> {};

TEST_P(KnownVulnerabilities, AreRefused) {
  const std::string bytes = GetParam().file();
  MemoryFile file{bytes};
  const bool gguf = bytes.starts_with("GGUF");
  OnnxLimits onnx;
  onnx.external_files.emplace("weights.bin", 64);
  const Result<void> refused = [&]() -> Result<void> {
    if (gguf) {
      const auto checked = check_gguf(file);
      return checked ? Result<void>{} : checked.error();
    }
    const auto checked = check_onnx(file, onnx);
    return checked ? Result<void>{} : checked.error();
  }();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr(GetParam().message));
  EXPECT_LE(file.largest_read(), 64U * 1024) << "read in pieces, whatever the file says";
}

KnownHole gguf(std::string name, std::function<void(GgufBytes&)> change, std::string message) {
  return {std::move(name),
          [change = std::move(change)] {
            auto model = GgufBytes::small_model();
            change(model);
            return model.bytes();
          },
          std::move(message)};
}

// A value that announces `length` bytes or elements and has none.
std::string announced(std::uint32_t element, std::uint64_t count) {
  std::string bytes;
  GgufBytes::put(bytes, element, 4);
  GgufBytes::put(bytes, count, 8);
  return bytes;
}

std::string announced_text(std::uint64_t length) {
  std::string bytes;
  GgufBytes::put(bytes, length, 8);
  return bytes;
}

KnownHole onnx(std::string name, const Proto& tensor, std::string message) {
  return {std::move(name),
          [tensor] { return onnx_model(onnx_small_graph().message(5, tensor)); },
          std::move(message)};
}

Proto outside(std::string_view location,
              std::string_view offset,
              std::string_view length,
              const Proto& more = {}) {
  const auto entry = [](std::string_view key, std::string_view value) {
    return Proto{}.bytes(1, key).bytes(2, value);
  };
  return Proto{}
      .varint(1, 4)
      .varint(2, 1)
      .bytes(8, "t")
      .message(13, entry("location", location))
      .message(13, entry("offset", offset))
      .message(13, entry("length", length))
      .varint(14, 1)
      .raw(more.str());
}

// If in If in If …, each the body of the one before.
Proto nested_bodies(int depth) {
  Proto graph;
  graph.bytes(2, "g");
  if (depth > 0) {
    const Proto attribute =
        Proto{}.bytes(1, "then_branch").message(6, nested_bodies(depth - 1)).varint(20, 5);
    graph.message(1, onnx_node("If", {"c"}, {"z"}, Proto{}.message(5, attribute)));
  }
  return graph;
}

std::vector<KnownHole> gguf_holes() {
  constexpr std::uint64_t kWrap = 1ULL << 61U;
  return {
      gguf(
          "CVE_2024_21802_dimensions_overflow",
          [](auto& m) {
            m.tensors[1].dims = {1ULL << 33U, 1ULL << 31U};
          },
          "too large"),
      gguf(
          "CVE_2024_21802_five_dimensions",
          [](auto& m) {
            m.tensors[1].dims = {1, 1, 1, 1, 1};
          },
          "5 dimensions"),
      gguf(
          "CVE_2024_21825_array_of_strings_overflow",
          [](auto& m) { m.raw("x", 9, announced(8, kWrap + 1)); },
          "elements, at most"),
      gguf(
          "CVE_2024_21825_array_of_numbers_overflow",
          [](auto& m) { m.raw("x", 9, announced(10, (1ULL << 61U) + 1)); },
          "elements, at most"),
      gguf(
          "CVE_2024_21836_tensor_count_overflow",
          [](auto& m) { m.extra_tensors = 0x0400000000000000ULL; },
          "tensors, at most"),
      gguf(
          "CVE_2024_23496_string_length_all_ones",
          [](auto& m) { m.raw("general.url", 8, announced_text(~0ULL)); },
          "general.url"),
      gguf(
          "CVE_2024_23605_key_count_overflow",
          [](auto& m) { m.extra_keys = 0x0555555555555556ULL; },
          "keys, at most"),
      // The null pointer came from a header that promised what the file did not hold.
      {"CVE_2024_41130_header_alone",
       [] {
         GgufBytes empty;
         empty.extra_keys = 1;
         empty.extra_tensors = 1;
         return empty.metadata();
       },
       "truncated"},
      gguf(
          "CVE_2025_49847_token_longer_than_int",
          [](auto& m) {
            m.without("tokenizer.ggml.tokens");
            std::string bytes = announced(8, 5);
            GgufBytes::put(bytes, 0x80000001ULL, 8);
            m.raw("tokenizer.ggml.tokens", 9, bytes);
          },
          "tokenizer.ggml.tokens"),
      gguf(
          "CVE_2025_53630_tensor_sizes_wrap_when_added",
          [](auto& m) {
            // Each fits a signed 64-bit size; padded and added up they do not.
            m.tensors[1].dims = {1ULL << 60U};
            m.tensors[1].type = 24;
            m.tensors[2].dims = {1ULL << 60U};
            m.tensors[2].type = 24;
          },
          "reaches beyond"),
      gguf(
          "CVE_2026_27940_one_size_below_the_wrap",
          [](auto& m) {
            // The first fix compared after the addition; this sum is just below 2^64.
            m.tensors[1].dims = {(1ULL << 63U) - 64};
            m.tensors[1].type = 24;
          },
          "reaches beyond"),
      gguf(
          "CVE_2026_7482_tensor_beyond_the_file",
          [](auto& m) {
            m.tensors[1].dims = {64, 1 << 20};
          },
          "reaches beyond"),
      gguf(
          "CVE_2026_7482_offset_beyond_the_file",
          [](auto& m) { m.tensors[2].offset = 1ULL << 40U; },
          "reaches beyond"),
      gguf(
          "llama_25969_byte_token_without_hex",
          [](auto& m) {
            m.without("tokenizer.ggml.tokens")
                .texts("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "<0xG1>", "a"});
          },
          "declared a byte"),
      gguf(
          "llama_25821_block_count_beyond_the_layers",
          [](auto& m) { m.without("llama.block_count").number("llama.block_count", 513); },
          "expected 1 to 512"),
      gguf(
          "llama_26690_array_of_another_type",
          [](auto& m) {
            m.without("tokenizer.ggml.token_type")
                .texts("tokenizer.ggml.token_type", {"a", "b", "c", "d", "e"});
          },
          "expected an array of i32"),
      gguf(
          "llama_26690_number_where_a_text_is_read",
          [](auto& m) { m.without("general.architecture").number("general.architecture", 7, 10); },
          "expected string"),
      gguf(
          "llama_24997_alignment_of_nothing",
          [](auto& m) { m.number("general.alignment", 0); },
          "general.alignment"),
      gguf(
          "llama_24997_alignment_no_power_of_two",
          [](auto& m) { m.number("general.alignment", 0x80000001ULL); },
          "general.alignment"),
      gguf(
          "llama_26318_allocation_wraps",
          [](auto& m) {
            m.tensors[1].dims = {1ULL << 62U};
            m.tensors[1].type = 0;
          },
          "too large"),
      gguf(
          "ollama_17042_allocation_from_an_array_count",
          [](auto& m) { m.raw("x", 9, announced(0, 1ULL << 40U)); },
          "elements, at most"),
      gguf(
          "ollama_17042_allocation_from_a_string_length",
          [](auto& m) { m.raw("x", 8, announced_text(1ULL << 40U)); },
          "'x'"),
  };
}

std::vector<KnownHole> onnx_holes() {
  return {
      onnx("CVE_2022_25882_external_parent",
           outside("../../../etc/passwd", "0", "16"),
           "not a plain file name"),
      onnx("CVE_2024_27318_external_parent_behind_a_folder",
           outside("weights/../../../etc/passwd", "0", "16"),
           "not a plain file name"),
      onnx("CVE_2026_27489_external_absolute",
           outside("/etc/passwd", "0", "16"),
           "not a plain file name"),
      onnx("CVE_2026_34446_34447_external_link_elsewhere",
           outside("elsewhere.bin", "0", "16"),
           "which the manifest does not list"),
      onnx("CVE_2024_27319_external_beyond_its_file",
           outside("weights.bin", "56", "16"),
           "reaches beyond the 64 bytes"),
      onnx("CVE_2024_27319_external_offset_wraps",
           outside("weights.bin", "18446744073709551608", "16"),
           "reaches beyond the 64 bytes"),
      onnx("CVE_2024_27319_raw_data_shorter_than_its_shape",
           test::onnx_tensor("t", {1024}, 1, "abcd"),
           "need 4096"),
      onnx("CVE_2025_51480_external_backslash",
           outside("..\\..\\x", "0", "16"),
           "not a plain file name"),
      onnx("CVE_2026_34445_external_sets_an_attribute",
           outside("weights.bin",
                   "0",
                   "16",
                   Proto{}.message(13, Proto{}.bytes(1, "__class__").bytes(2, "x"))),
           "unknown key '__class__'"),
      {"CVE_2026_0994_bodies_inside_one_another",
       [] {
         return onnx_model(
             onnx_small_graph().message(1,
                                        onnx_node("If",
                                                  {"x"},
                                                  {"z"},
                                                  Proto{}.message(5,
                                                                  Proto{}
                                                                      .bytes(1, "then_branch")
                                                                      .message(6, nested_bodies(64))
                                                                      .varint(20, 5)))));
       },
       "subgraphs nest deeper than 8"},
      {"compiled_code_in_EPContext",
       [] {
         return onnx_model(onnx_small_graph().message(
             1, onnx_node("EPContext", {"x"}, {"z"}, Proto{}.bytes(7, "com.microsoft"))));
       },
       "EPContext"},
  };
}

const auto hole_name = [](const auto& row) { return row.param.name; };
INSTANTIATE_TEST_SUITE_P(Gguf, KnownVulnerabilities, ::testing::ValuesIn(gguf_holes()), hole_name);
INSTANTIATE_TEST_SUITE_P(Onnx, KnownVulnerabilities, ::testing::ValuesIn(onnx_holes()), hole_name);

}  // namespace
}  // namespace skerry::registry
