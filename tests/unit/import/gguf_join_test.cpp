#include "skerry/registry/gguf_join.hpp"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skerry/registry/gguf_check.hpp"

#include "memory_file.hpp"
#include "split_gguf.hpp"

namespace skerry::registry {
namespace {

using test::GgufBytes;
using test::MemoryFile;
using ::testing::HasSubstr;

Result<std::unique_ptr<File>> join(const std::vector<GgufBytes>& parts) {
  std::vector<std::unique_ptr<File>> files;
  for (const GgufBytes& part : parts) {
    files.push_back(std::make_unique<MemoryFile>(part.bytes()));
  }
  return join_gguf(std::move(files));
}

std::string content(File& file) {
  std::string out(file.status()->size, '\0');
  const auto read = file.read_at(0, {reinterpret_cast<std::uint8_t*>(out.data()), out.size()});
  EXPECT_TRUE(read);
  EXPECT_EQ(*read, out.size());
  return out;
}

TEST(GgufJoin, PartsBecomeTheFileThatWasSplit) {
  const auto joined = join(test::split_small_model());
  ASSERT_TRUE(joined) << joined.error().to_string();
  const auto summary = check_gguf(**joined);
  ASSERT_TRUE(summary) << summary.error().to_string();
  EXPECT_EQ(summary->split_count, 1U);
  EXPECT_EQ(content(**joined), GgufBytes::small_model().bytes());
}

TEST(GgufJoin, AFirstPartWithoutTensorsIsFine) {
  auto parts = test::split_small_model();
  auto all = GgufBytes::small_model();
  GgufBytes head = parts[0];
  head.tensors.clear();
  head.data_bytes = 0;
  GgufBytes rest;
  rest.tensors = all.tensors;
  rest.data_bytes = all.data_bytes;
  head.without("split.count").number("split.count", 2, test::kGgufU16);
  rest.number("split.no", 1, test::kGgufU16).number("split.count", 2, test::kGgufU16);
  const auto joined = join({head, rest});
  ASSERT_TRUE(joined) << joined.error().to_string();
  EXPECT_EQ(content(**joined), all.bytes());
}

TEST(GgufJoin, ReadsTheSameInPiecesOfAnySize) {
  const auto joined = join(test::split_small_model());
  ASSERT_TRUE(joined);
  const std::string whole = content(**joined);
  for (const std::size_t size : {1U, 7U, 64U, 1000U}) {
    std::string pieces;
    std::string piece(size, '\0');
    while (pieces.size() < whole.size()) {
      const auto read = (*joined)->read_at(
          pieces.size(), {reinterpret_cast<std::uint8_t*>(piece.data()), piece.size()});
      ASSERT_TRUE(read);
      ASSERT_GT(*read, 0U);
      pieces.append(piece, 0, *read);
    }
    EXPECT_EQ(pieces, whole) << size;
  }
}

struct JoinRow {
  std::string name;
  std::function<void(std::vector<GgufBytes>&)> change;
  std::string message;
};

void PrintTo(const JoinRow& row, std::ostream* out) {
  *out << row.name;
}

class GgufJoinHostile : public ::testing::TestWithParam<JoinRow> {};

TEST_P(GgufJoinHostile, IsRefused) {
  auto parts = test::split_small_model();
  GetParam().change(parts);
  auto joined = join(parts);
  if (joined) {
    // What is only wrong in the tensors is refused by the check of the whole.
    const auto summary = check_gguf(**joined);
    ASSERT_FALSE(summary);
    EXPECT_THAT(summary.error().message(), HasSubstr(GetParam().message));
    return;
  }
  EXPECT_THAT(joined.error().message(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    GgufJoinHostile,
    ::testing::Values(
        JoinRow{"a_part_is_missing", [](auto& p) { p.pop_back(); }, "there are 2"},
        JoinRow{"wrong_order", [](auto& p) { std::swap(p[1], p[2]); }, "calls itself number 3"},
        JoinRow{"a_part_twice", [](auto& p) { p[2] = p[1]; }, "calls itself number 2"},
        JoinRow{"no_gguf", [](auto& p) { p[1].magic = "GGML"; }, "not a GGUF file"},
        JoinRow{"more_tensors_announced",
                [](auto& p) {
                  p[0].without("split.tensors.count").number("split.tensors.count", 9, 5);
                },
                "announced are 9"},
        JoinRow{"tensor_count_lies",
                [](auto& p) { p[1].extra_tensors = std::uint64_t{1} << 62U; },
                "too many tensors"},
        JoinRow{"tensor_beyond_its_part",
                [](auto& p) { p[2].tensors[0].offset = 1ULL << 40U; },
                "reaches beyond"},
        JoinRow{"tensor_offset_wraps", [](auto& p) { p[2].tensors[0].offset = ~31ULL; }, "beyond"},
        JoinRow{"tensor_into_the_next_part",
                [](auto& p) {
                  p[1].tensors[0].dims = {64, 65};
                },
                "reaches beyond its part"},
        JoinRow{"a_name_in_two_parts",
                [](auto& p) { p[1].tensors[0].name = p[0].tensors[0].name; },
                "occurs twice"},
        JoinRow{"array_longer_than_the_file",
                [](auto& p) {
                  std::string bytes;
                  GgufBytes::put(bytes, 10, 4);
                  GgufBytes::put(bytes, 1U << 20U, 8);
                  p[0].raw("x", 9, bytes);
                },
                "truncated"}),
    [](const auto& row) { return row.param.name; });

TEST(GgufJoin, SurvivesEveryTruncationOfAPart) {
  const auto parts = test::split_small_model();
  const std::string second = parts[1].bytes();
  for (std::size_t length = 0; length < second.size(); length += 3) {
    std::vector<std::unique_ptr<File>> files;
    files.push_back(std::make_unique<MemoryFile>(parts[0].bytes()));
    files.push_back(std::make_unique<MemoryFile>(second.substr(0, length)));
    files.push_back(std::make_unique<MemoryFile>(parts[2].bytes()));
    auto joined = join_gguf(std::move(files));
    ASSERT_TRUE(!joined || !check_gguf(**joined)) << length;
  }
}

}  // namespace
}  // namespace skerry::registry
