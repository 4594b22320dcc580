#include "skerry/registry/gguf_check.hpp"

#include <filesystem>
#include <functional>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gguf_bytes.hpp"
#include "memory_file.hpp"

namespace skerry::registry {
namespace {

using test::GgufBytes;
using test::MemoryFile;
using ::testing::HasSubstr;

Result<GgufSummary> check(const std::string& bytes, const GgufLimits& limits = {}) {
  MemoryFile file{bytes};
  return check_gguf(file, limits);
}

TEST(GgufCheck, SummarisesAWellFormedModel) {
  const auto summary = check(GgufBytes::small_model().bytes());
  ASSERT_TRUE(summary) << summary.error().to_string();
  EXPECT_EQ(summary->architecture, "llama");
  EXPECT_EQ(summary->name, "small");
  EXPECT_EQ(summary->tensors, 3U);
  EXPECT_EQ(summary->parameters, 64U * 5 + 64 * 64 + 64);
  EXPECT_EQ(summary->weights_bytes, 1280U + 4352 + 128);
  EXPECT_EQ(summary->types.at("q8_0").bytes, 4352U);
  EXPECT_EQ(summary->dominant_type, "q8_0");
  EXPECT_EQ(summary->claimed_file_type, 7U);
  EXPECT_EQ(summary->context_length, 128U);
  EXPECT_EQ(summary->block_count, 2U);
  EXPECT_EQ(summary->embedding_length, 64U);
  EXPECT_EQ(summary->head_count, 4U);
  EXPECT_EQ(summary->head_count_kv, 2U);
  EXPECT_EQ(summary->key_length, 16U);
  EXPECT_EQ(summary->vocabulary_size, 5U);
  // 2 layers, 2 heads, 16 + 16 values of 2 bytes.
  EXPECT_EQ(summary->kv_bytes_per_token, 2U * 2 * 32 * 2);
  EXPECT_EQ(summary->chat_template, Digest::of("{{ messages }}"));
  EXPECT_EQ(summary->data_offset % 32, 0U);
  EXPECT_EQ(summary->file_bytes, summary->data_offset + 5760);
}

TEST(GgufCheck, TakesHeadsPerLayer) {
  auto model = GgufBytes::small_model();
  model.without("llama.attention.head_count_kv").numbers("llama.attention.head_count_kv", {4, 1});
  const auto summary = check(model.bytes());
  ASSERT_TRUE(summary) << summary.error().to_string();
  EXPECT_EQ(summary->head_count_kv, 4U);
  EXPECT_EQ(summary->kv_bytes_per_token, (4U + 1) * 32 * 2);
}

TEST(GgufCheck, ReadsThroughASmallWindow) {
  MemoryFile file{GgufBytes::small_model().bytes()};
  ASSERT_TRUE(check_gguf(file));
  EXPECT_LE(file.largest_read(), 64U * 1024);
}

struct HostileRow {
  std::string name;
  std::function<std::string()> bytes;
  std::string message;
  Error::Code code = Error::Code::kModelFormat;
};

void PrintTo(const HostileRow& row, std::ostream* out) {
  *out << row.name;
}

std::string with(const std::function<void(GgufBytes&)>& change) {
  auto model = GgufBytes::small_model();
  change(model);
  return model.bytes();
}

HostileRow tensor_row(std::string name, GgufBytes::Tensor tensor, std::string message) {
  return {std::move(name),
          [tensor] { return with([&](GgufBytes& m) { m.tensors.push_back(tensor); }); },
          std::move(message)};
}

HostileRow change_row(std::string name,
                      std::function<void(GgufBytes&)> change,
                      std::string message,
                      Error::Code code = Error::Code::kModelFormat) {
  return {std::move(name), [change] { return with(change); }, std::move(message), code};
}

std::vector<HostileRow> hostile_rows() {
  constexpr auto kTooLarge = Error::Code::kTooLarge;
  constexpr std::uint64_t kHuge = 1ULL << 62U;
  return {
      {"empty", [] { return std::string{}; }, "truncated"},
      {"magic", [] { return std::string(64, 'x'); }, "not a GGUF file"},
      change_row(
          "version_1", [](auto& m) { m.version = 1; }, "version 1; 2 and 3 are admitted"),
      change_row(
          "version_4", [](auto& m) { m.version = 4; }, "version 4"),
      change_row(
          "big_endian", [](auto& m) { m.version = 0x03000000; }, "big-endian"),
      change_row(
          "key_count", [](auto& m) { m.extra_keys = kHuge; }, "keys, at most", kTooLarge),
      change_row(
          "tensor_count", [](auto& m) { m.extra_tensors = kHuge; }, "tensors, at most", kTooLarge),
      change_row(
          "one_key_too_many_announced", [](auto& m) { m.extra_keys = 1; }, "gguf: "),
      change_row(
          "empty_key", [](auto& m) { m.number("", 1); }, "a key with characters"),
      change_row(
          "key_with_nul",
          [](auto& m) {
            m.number(std::string_view{"a\0b", 3}, 1);
          },
          "a key with characters"),
      change_row(
          "long_key",
          [](auto& m) { m.number(std::string(300, 'k'), 1); },
          "a key of 300 bytes, at most 256",
          kTooLarge),
      change_row(
          "key_longer_than_file",
          [](auto& m) {
            std::string bytes;
            GgufBytes::put(bytes, ~0ULL, 8);
            m.raw("general.url", 8, bytes);
          },
          "truncated: key 'general.url'"),
      change_row(
          "duplicate_key",
          [](auto& m) { m.number("llama.block_count", 2); },
          "'llama.block_count' occurs twice"),
      change_row(
          "unknown_value_type", [](auto& m) { m.raw("x", 13, ""); }, "unknown type 13"),
      change_row(
          "bool_of_2", [](auto& m) { m.number("x", 2, 7); }, "neither 0 nor 1"),
      change_row(
          "nan", [](auto& m) { m.number("x", 0x7fc00000, 6); }, "not a finite number"),
      change_row(
          "text_not_utf8", [](auto& m) { m.text("x", "\xff\xfe"); }, "not UTF-8"),
      change_row(
          "text_with_nul",
          [](auto& m) {
            m.text("general.url", std::string_view{"a\0b", 3});
          },
          "without NUL"),
      change_row(
          "nested_array",
          [](auto& m) {
            std::string bytes;
            GgufBytes::put(bytes, 9, 4);
            GgufBytes::put(bytes, 1, 8);
            m.raw("x", 9, bytes);
          },
          "array of arrays"),
      change_row(
          "array_of_unknown_type",
          [](auto& m) {
            std::string bytes;
            GgufBytes::put(bytes, 99, 4);
            GgufBytes::put(bytes, 1, 8);
            m.raw("x", 9, bytes);
          },
          "unknown element type 99"),
      change_row(
          "array_count_overflows",
          [](auto& m) {
            std::string bytes;
            GgufBytes::put(bytes, 4, 4);
            GgufBytes::put(bytes, (1ULL << 62U) + 1, 8);
            m.raw("x", 9, bytes);
          },
          "elements, at most",
          kTooLarge),
      change_row(
          "array_longer_than_file",
          [](auto& m) {
            std::string bytes;
            GgufBytes::put(bytes, 10, 4);
            GgufBytes::put(bytes, 1U << 20U, 8);
            m.raw("x", 9, bytes);
          },
          "truncated"),
      change_row(
          "tokens_as_numbers",
          [](auto& m) {
            m.without("tokenizer.ggml.tokens").numbers("tokenizer.ggml.tokens", {1, 2});
          },
          "is an array of i32, expected an array of string"),
      change_row(
          "scores_as_ints",
          [](auto& m) {
            m.numbers("tokenizer.ggml.scores", {0, 0, 0, 0, 0});
          },
          "expected an array of f32"),
      change_row(
          "architecture_as_number",
          [](auto& m) { m.without("general.architecture").number("general.architecture", 1); },
          "is u32, expected string"),
      change_row(
          "no_architecture",
          [](auto& m) { m.without("general.architecture"); },
          "general.architecture is missing"),
      change_row(
          "block_count_as_float",
          [](auto& m) {
            m.without("llama.block_count").number("llama.block_count", 0x40000000, 6);
          },
          "'llama.block_count' is not an integer"),
      change_row(
          "block_count_negative",
          [](auto& m) {
            m.without("llama.block_count").number("llama.block_count", 0xffffffff, 5);
          },
          "is negative"),
      change_row(
          "block_count_513",
          [](auto& m) { m.without("llama.block_count").number("llama.block_count", 513); },
          "is 513, expected 1 to 512"),
      change_row(
          "block_count_0",
          [](auto& m) { m.without("llama.block_count").number("llama.block_count", 0); },
          "is 0, expected 1 to 512"),
      change_row(
          "no_context_length",
          [](auto& m) { m.without("llama.context_length"); },
          "'llama.context_length' is missing"),
      change_row(
          "heads_do_not_divide",
          [](auto& m) {
            m.without("llama.attention.head_count").number("llama.attention.head_count", 7);
          },
          "no multiple of the 7 heads"),
      change_row(
          "more_kv_heads_than_heads",
          [](auto& m) {
            m.without("llama.attention.head_count_kv").number("llama.attention.head_count_kv", 8);
          },
          "head_count_kv 8"),
      change_row(
          "heads_for_other_layers",
          [](auto& m) {
            m.without("llama.attention.head_count_kv")
                .numbers("llama.attention.head_count_kv", {2, 2, 2});
          },
          "3 values for 2 layers"),
      change_row(
          "experts_used_beyond_experts",
          [](auto& m) { m.number("llama.expert_used_count", 3); },
          "larger than expert_count"),
      change_row(
          "alignment_0",
          [](auto& m) { m.number("general.alignment", 0); },
          "general.alignment is 0"),
      change_row(
          "alignment_48",
          [](auto& m) { m.number("general.alignment", 48); },
          "expected a power of two"),
      change_row(
          "alignment_huge",
          [](auto& m) { m.number("general.alignment", 1U << 31U); },
          "expected a power of two"),
      change_row(
          "alignment_as_u64",
          [](auto& m) { m.number("general.alignment", 32, 10); },
          "is u64, expected u32"),
      change_row(
          "byte_token_without_hex",
          [](auto& m) {
            m.without("tokenizer.ggml.tokens")
                .texts("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "<0xZZ>", "a"});
          },
          "token 3 is declared a byte"),
      change_row(
          "byte_token_short",
          [](auto& m) {
            m.without("tokenizer.ggml.tokens")
                .texts("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "", "a"});
          },
          "token 3 is declared a byte"),
      change_row(
          "token_types_for_other_vocabulary",
          [](auto& m) {
            m.without("tokenizer.ggml.token_type").numbers("tokenizer.ggml.token_type", {1, 1});
          },
          "token_type has 2 elements for 5 tokens"),
      change_row(
          "token_types_without_tokens",
          [](auto& m) { m.without("tokenizer.ggml.tokens"); },
          "without tokenizer.ggml.tokens"),
      change_row(
          "bos_outside_vocabulary",
          [](auto& m) { m.number("tokenizer.ggml.eos_token_id", 5); },
          "is 5 in a vocabulary of 5"),
      change_row(
          "token_with_nul",
          [](auto& m) {
            m.texts("tokenizer.ggml.merges", {std::string{"a\0b", 3}});
          },
          "element 0 of 'tokenizer.ggml.merges' contains NUL"),
      change_row(
          "split_out_of_range",
          [](auto& m) { m.number("split.no", 2, 2).number("split.count", 2, 2); },
          "split.no is 2 of 2"),
      change_row(
          "no_tensors",
          [](auto& m) {
            m.tensors.clear();
            m.data_bytes = 0;
          },
          "vocabulary-only"),
      tensor_row("tensor_without_name", {"", {1}, 0, 5760}, "a tensor name of 0 bytes"),
      tensor_row("tensor_name_of_65", {std::string(65, 't'), {1}, 0, 5760}, "of 65 bytes"),
      tensor_row("tensor_name_with_escape", {"a\x1b[2J", {1}, 0, 5760}, "not printable"),
      tensor_row("tensor_twice", {"output_norm.weight", {64}, 0, 5760}, "occurs twice"),
      tensor_row("tensor_without_dims", {"t", {}, 0, 5760}, "has 0 dimensions"),
      tensor_row("tensor_of_5_dims", {"t", {1, 1, 1, 1, 1}, 0, 5760}, "has 5 dimensions"),
      tensor_row("tensor_dim_0", {"t", {32, 0}, 0, 5760}, "dimension 1 of 0"),
      tensor_row("tensor_dim_negative", {"t", {1ULL << 63U}, 0, 5760}, "too large"),
      tensor_row("tensor_product_overflows",
                 {"t", {1ULL << 32U, 1ULL << 32U, 4}, 0, 5760},
                 "makes the tensor too large"),
      tensor_row("tensor_bytes_overflow", {"t", {1ULL << 62U}, 28, 5760}, "is too large"),
      tensor_row("tensor_type_removed", {"t", {32}, 4, 5760}, "unknown type 4"),
      tensor_row("tensor_type_unknown", {"t", {32}, 43, 5760}, "unknown type 43"),
      tensor_row("row_not_in_blocks", {"t", {33}, 8, 5760}, "not a multiple of the block of q8_0"),
      tensor_row("offset_unaligned", {"t", {32}, 0, 5761}, "no multiple of the alignment"),
      tensor_row("offset_beyond_file", {"t", {32}, 0, 1ULL << 40U}, "reaches beyond"),
      tensor_row("offset_wraps", {"t", {32}, 0, ~31ULL}, "reaches beyond"),
      tensor_row("length_beyond_file", {"t", {1024}, 0, 5760}, "reaches beyond"),
      tensor_row("overlap", {"t", {8}, 0, 5632}, "overlaps"),
      tensor_row("overlap_inside", {"t", {8}, 0, 32}, "overlaps"),
      change_row(
          "gap", [](auto& m) { m.tensors.erase(m.tensors.begin() + 1); }, "belong to none"),
      change_row(
          "trailing_bytes",
          [](auto& m) { m.data_bytes += 4096; },
          "4096 bytes after the last tensor belong to none"),
      change_row(
          "data_missing", [](auto& m) { m.data_bytes = 0; }, "reaches beyond"),
      change_row(
          "embedding_rows",
          [](auto& m) {
            m.tensors[0].dims = {64, 6};
          },
          "has 6 rows for 5 tokens"),
  };
}

class GgufHostile : public ::testing::TestWithParam<HostileRow> {};

TEST_P(GgufHostile, IsRefused) {
  const auto summary = check(GetParam().bytes());
  ASSERT_FALSE(summary);
  EXPECT_EQ(summary.error().code(), GetParam().code) << summary.error().to_string();
  EXPECT_THAT(summary.error().message(), HasSubstr(GetParam().message));
  EXPECT_THAT(summary.error().message(), HasSubstr("at offset "));
}

INSTANTIATE_TEST_SUITE_P(Table,
                         GgufHostile,
                         ::testing::ValuesIn(hostile_rows()),
                         [](const auto& row) { return row.param.name; });

TEST(GgufCheck, RefusesEveryTruncation) {
  const std::string whole = GgufBytes::small_model().bytes();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    ASSERT_FALSE(check(whole.substr(0, length))) << length;
  }
}

TEST(GgufCheck, SurvivesEveryByteChanged) {
  const std::string whole = GgufBytes::small_model().bytes();
  const std::size_t structure = GgufBytes::small_model().metadata().size();
  std::size_t refused = 0;
  for (std::size_t at = 0; at < structure; ++at) {
    for (const char value : {'\x00', '\x7f', '\x80', '\xff'}) {
      std::string changed = whole;
      changed[at] = value;
      refused += check(changed) ? 0U : 1U;
    }
  }
  EXPECT_GT(refused, structure);
}

TEST(GgufCheck, RefusesAMetadataBlockBeyondItsLimit) {
  GgufLimits limits;
  limits.max_metadata_bytes = 200;
  const auto summary = check(GgufBytes::small_model().bytes(), limits);
  ASSERT_FALSE(summary);
  EXPECT_EQ(summary.error().code(), Error::Code::kTooLarge);
  EXPECT_THAT(summary.error().message(), HasSubstr("larger than 200 bytes"));
}

TEST(GgufCheck, NoticesAFileThatShrinks) {
  const std::string whole = GgufBytes::small_model().bytes();
  MemoryFile file{whole.substr(0, 100)};
  file.claim_size(whole.size());
  const auto summary = check_gguf(file);
  ASSERT_FALSE(summary);
  EXPECT_THAT(summary.error().message(), HasSubstr("became shorter"));
}

// The files that the engine's own authors publish for their tokenizer tests.
TEST(GgufCheck, AdmitsPublishedVocabularies) {
  const std::filesystem::path folder = SKERRY_TEST_ENGINE_MODELS;
  if (!std::filesystem::exists(folder)) {
    GTEST_SKIP() << folder << " is absent: a system libllama-dev has no sample models";
  }
  GgufLimits limits;
  limits.require_tensors = false;
  SystemFileSystem files;
  int admitted = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    auto file = files.open(entry.path(), OpenMode::kRead, 0);
    ASSERT_TRUE(file);
    const auto summary = check_gguf(**file, limits);
    ASSERT_TRUE(summary) << entry.path() << ": " << summary.error().to_string();
    EXPECT_GT(summary->vocabulary_size, 1000U) << entry.path();
    ++admitted;
  }
  EXPECT_GE(admitted, 10);
}

}  // namespace
}  // namespace skerry::registry
