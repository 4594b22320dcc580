#include "skerry/registry/delta.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "memory_file.hpp"
#include "model_pair.hpp"
#include "registry_fixtures.hpp"
#include "temp_dir.hpp"

namespace skerry::registry {
namespace {

using test::MemoryFile;
using test::model_bytes;
using test::PairTensor;

constexpr std::uint64_t kDeltaAllowance = 1024;  // header, directory, changed metadata

class CollectSink final : public ByteSink {
 public:
  Result<void> write(ByteView bytes) override {
    text.append(as_text(bytes));
    return {};
  }
  std::string text;
};

const std::vector<PairTensor>& every_coding() {
  static const std::vector<PairTensor> kTensors{{"f32", 0, {300}},
                                                {"f16", 1, {64, 33}},
                                                {"q4_0", 2, {256, 40}},
                                                {"norm", 0, {64}},
                                                {"q8_0", 8, {256, 40}},
                                                {"q4_k", 12, {256, 40}},
                                                {"q5_k", 13, {256, 40}},
                                                {"q6_k", 14, {256, 40}},
                                                {"bf16", 30, {64, 77}}};
  return kTensors;
}

class DeltaTest : public ::testing::Test {
 protected:
  Result<DeltaSummary> make(const std::string& base,
                            const std::string& target,
                            const DeltaOptions& options = {}) {
    MemoryFile base_file{base};
    MemoryFile target_file{target};
    auto out = fs_.open(dir_ / std::to_string(++count_), OpenMode::kCreateExclusive, 0640);
    EXPECT_TRUE(out);
    auto made = make_delta(base_file,
                           target_file,
                           {Digest::of(base), base.size(), Digest::of(target), target.size()},
                           **out,
                           options);
    if (made) {
      delta_ = *read_file(fs_, dir_ / std::to_string(count_), 256U << 20U);
    }
    return made;
  }
  // A range of what the last delta makes from `base`.
  [[nodiscard]] Result<std::string> apply(const std::string& base,
                                          std::uint64_t offset,
                                          std::uint64_t length,
                                          unsigned threads = 1) const {
    MemoryFile base_file{base};
    MemoryFile delta_file{delta_};
    const auto reader = DeltaReader::open(delta_file, base_file);
    if (!reader) {
      return reader.error();
    }
    CollectSink sink;
    const CancelFlag never;
    if (auto ok = (*reader)->read(offset, length, sink, never, threads); !ok) {
      return ok.error();
    }
    return sink.text;
  }
  void expect_round_trip(const std::string& base, const std::string& target) {
    const auto made = make(base, target);
    ASSERT_TRUE(made) << made.error().to_string();
    EXPECT_EQ(made->delta_bytes, delta_.size());
    EXPECT_EQ(made->copied_bytes + made->predicted_bytes + made->packed_bytes + made->stored_bytes,
              target.size());
    const auto again = apply(base, 0, target.size());
    ASSERT_TRUE(again) << again.error().to_string();
    EXPECT_TRUE(*again == target);
  }

  test::TempDir dir_;
  SystemFileSystem fs_;
  std::string delta_;
  int count_ = 0;
};

TEST_F(DeltaTest, EveryCodingComesBackBitForBit) {
  const auto base = model_bytes(every_coding());
  for (const auto& tensor : every_coding()) {
    SCOPED_TRACE(tensor.name);
    for (const std::int32_t part : {1000, 100, 3}) {
      const auto target = model_bytes(every_coding(), {tensor.name}, part);
      ASSERT_FALSE(target == base);
      expect_round_trip(base, target);
    }
  }
}

TEST_F(DeltaTest, AllTensorsMovedAreSmallerThanAnyPackerWouldMakeThem) {
  const auto base = model_bytes(every_coding());
  std::vector<std::string> all;
  for (const auto& tensor : every_coding()) {
    all.push_back(tensor.name);
  }
  const auto target = model_bytes(every_coding(), all, 1000);
  expect_round_trip(base, target);
  EXPECT_LT(delta_.size(), target.size() / 4);
}

TEST_F(DeltaTest, UntouchedTensorsCostNextToNothing) {
  std::vector<PairTensor> tensors;
  for (int i = 0; i < 64; ++i) {
    tensors.push_back({"blk." + std::to_string(i), 8, {1024, 40}});
  }
  const auto base = model_bytes(tensors);
  const auto target = model_bytes(tensors, {"blk.7", "blk.40"}, 100);
  const auto one_changed = make(base, model_bytes(tensors, {"blk.7"}, 100));
  ASSERT_TRUE(one_changed);
  expect_round_trip(base, target);
  const auto none = make(base, base);
  ASSERT_TRUE(none);
  EXPECT_LT(none->delta_bytes, 256U);
  EXPECT_EQ(none->copied_bytes, base.size());
}

TEST_F(DeltaTest, ChangedMetadataThatShiftsAllTheDataCostsTheMetadata) {
  const auto base = model_bytes(every_coding());
  const auto target = model_bytes(every_coding(), {}, 100, std::string(1003, 'm'));
  ASSERT_NE(base.size(), target.size());
  expect_round_trip(base, target);
  EXPECT_LT(delta_.size(), kDeltaAllowance);
}

TEST_F(DeltaTest, AddedRemovedAndReshapedTensorsComeBack) {
  auto tensors = every_coding();
  const auto base = model_bytes(tensors);
  tensors.erase(tensors.begin() + 2);
  tensors.push_back({"new", 8, {64, 5}});
  tensors[0].dims = {100, 3};
  expect_round_trip(base, model_bytes(tensors, {"q8_0"}, 10));
}

TEST_F(DeltaTest, OtherFilesAreComparedByContent) {
  const auto random = test::random_bytes(3U << 20U, 7);
  const std::string base{as_text(random)};
  std::string target =
      base.substr(0, 1000000) + "inserted" + base.substr(1000000, 500000) + base.substr(1700000);
  target[2000000] = static_cast<char>(target[2000000] ^ 1);
  expect_round_trip(base, target);
  EXPECT_LT(delta_.size(), 2000U);
}

TEST_F(DeltaTest, SafetensorsAreComparedTensorByTensor) {
  const auto file = [](std::int32_t part) {
    std::vector<std::int32_t> weights(20000);
    test::Weights source{5};
    test::Weights change{6};
    for (auto& weight : weights) {
      weight = 16 * source.next() + (part == 0 ? 0 : 16 * change.next() / part);
    }
    const auto data = test::blocks_of(30, weights);
    const std::string header =
        R"({"__metadata__":{"format":"pt"},"w":{"dtype":"BF16","shape":[100,200],"data_offsets":[0,40000]}})";
    std::string out;
    test::GgufBytes::put(out, header.size(), 8);
    return out + header + data;
  };
  expect_round_trip(file(0), file(500));
  EXPECT_LT(delta_.size(), 20000U);
}

TEST_F(DeltaTest, RefusesWhereTheFullFileIsSmaller) {
  const std::string base{as_text(test::random_bytes(200000, 1))};
  const std::string target{as_text(test::random_bytes(200000, 2))};
  const auto made = make(base, target);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Error::Code::kFailedPrecondition);
  EXPECT_THAT(made.error().message(), ::testing::HasSubstr("full file is the better choice"));
}

TEST_F(DeltaTest, AnyRangeCanBeReadByAnyNumberOfThreads) {
  // Several segments: more than 4 MiB of changed tensors, with copies between.
  const std::vector<PairTensor> tensors{{"a", 8, {1024, 3000}},
                                        {"b", 2, {1024, 1000}},
                                        {"c", 8, {1024, 4000}},
                                        {"d", 30, {1024, 700}}};
  const auto base = model_bytes(tensors);
  const auto target = model_bytes(tensors, {"a", "c", "d"}, 300, "a longer text");
  const auto made = make(base, target, {.threads = 2});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_GT(made->segments, 4U);
  const auto whole = apply(base, 0, target.size(), 3);
  ASSERT_TRUE(whole);
  EXPECT_TRUE(*whole == target);
  const std::pair<std::uint64_t, std::uint64_t> ranges[] = {{0, 1},
                                                            {target.size() - 1, 1},
                                                            {123, 5000000},
                                                            {4194304, 4194304},
                                                            {3000000, 0},
                                                            {6500000, 777777}};
  for (const auto& [offset, length] : ranges) {
    const auto part = apply(base, offset, length, 2);
    ASSERT_TRUE(part) << part.error().to_string();
    EXPECT_TRUE(*part == target.substr(offset, length)) << offset;
  }
  EXPECT_EQ(apply(base, target.size(), 1).error().code(), Error::Code::kInvalidArgument);
}

TEST_F(DeltaTest, AnotherBaseOfTheSameSizeGivesOtherBytesAndAnotherSizeIsRefused) {
  const auto base = model_bytes(every_coding());
  const auto target = model_bytes(every_coding(), {"q8_0"}, 100);
  ASSERT_TRUE(make(base, target));
  auto other = base;
  other[base.size() - 3] = static_cast<char>(other[base.size() - 3] ^ 1);
  const auto wrong = apply(other, 0, target.size());
  EXPECT_TRUE(!wrong || *wrong != target);
  EXPECT_EQ(apply(base + "x", 0, 1).error().code(), Error::Code::kFailedPrecondition);
}

TEST_F(DeltaTest, EveryTruncationAndManyFlippedBytesAreErrorsOrOtherBytes) {
  const auto base = model_bytes(every_coding());
  const auto target = model_bytes(every_coding(), {"q8_0", "q4_k", "q6_k", "bf16"}, 100);
  ASSERT_TRUE(make(base, target));
  const std::string good = delta_;
  for (std::size_t length = 0; length < good.size(); length += 1 + length / 16) {
    delta_ = good.substr(0, length);
    EXPECT_FALSE(apply(base, 0, target.size())) << length;
  }
  for (std::size_t at = 0; at < good.size(); at += 1 + good.size() / 200) {
    delta_ = good;
    delta_[at] = static_cast<char>(delta_[at] ^ 0x41);
    const auto out = apply(base, 0, target.size());
    // The two digests are claims for the one who applies, not used in decoding.
    const bool claim = (at >= 8 && at < 40) || (at >= 48 && at < 80) || (at >= 120 && at < 128);
    EXPECT_TRUE(claim || !out || *out != target) << at;
  }
}

TEST_F(DeltaTest, ServesAsASourceOfItsTargetOnly) {
  const auto base = model_bytes(every_coding());
  const auto target = model_bytes(every_coding(), {"q4_0"}, 100);
  ASSERT_TRUE(make(base, target));
  MemoryFile base_file{base};
  MemoryFile delta_file{delta_};
  const auto reader = DeltaReader::open(delta_file, base_file);
  ASSERT_TRUE(reader);
  DeltaSource source{**reader, 2};
  CollectSink sink;
  CancelFlag cancel;
  ASSERT_TRUE(source.read({Digest::of(target), 100, 200}, sink, cancel));
  EXPECT_EQ(sink.text, target.substr(100, 200));
  EXPECT_EQ(source.read({Digest::of(base), 0, 1}, sink, cancel).error().code(),
            Error::Code::kNotFound);
  cancel.cancel();
  EXPECT_EQ(source.read({Digest::of(target), 0, 10}, sink, cancel).error().code(),
            Error::Code::kCancelled);
}

TEST_F(DeltaTest, StopsMakingWhenCancelledAndWhenItGrowsTooLarge) {
  const auto base = model_bytes(every_coding());
  const auto target = model_bytes(every_coding(), {"q4_0", "q8_0"}, 10);
  CancelFlag cancel;
  cancel.cancel();
  EXPECT_EQ(make(base, target, {.cancel = &cancel}).error().code(), Error::Code::kCancelled);
  EXPECT_EQ(make(base, target, {.largest = 500}).error().code(), Error::Code::kFailedPrecondition);
}

}  // namespace
}  // namespace skerry::registry
