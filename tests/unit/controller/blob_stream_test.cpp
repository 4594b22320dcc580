#include "blob_stream.hpp"

#include <gtest/gtest.h>

#include "temp_dir.hpp"

namespace skerry::controller {
namespace {

namespace pb = fleet::v1;

class BlobStreamTest : public ::testing::Test {
 protected:
  void SetUp() override {
    vault_ = std::move(*BlobVault::open(fs_, dir_.path() / "blobs", 1U << 30U));
  }

  std::shared_ptr<const MappedBlob> blob(const std::string& content) {
    return *vault_->map(*vault_->put(content));
  }

  static std::string flat(const grpc::ByteBuffer& buffer) {
    std::vector<grpc::Slice> slices;
    EXPECT_TRUE(buffer.Dump(&slices).ok());
    std::string out;
    for (const auto& slice : slices) {
      out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
    return out;
  }

  static pb::GetBlobRequest request(
      const std::vector<std::pair<std::uint64_t, std::uint64_t>>& ranges) {
    pb::GetBlobRequest out;
    for (const auto& [offset, length] : ranges) {
      auto* range = out.add_ranges();
      range->set_offset(offset);
      range->set_length(length);
    }
    return out;
  }

  test::TempDir dir_;
  SystemFileSystem fs_;
  std::unique_ptr<BlobVault> vault_;
};

TEST_F(BlobStreamTest, FramesAreWhatProtobufWouldWrite) {
  std::string content(100'007, 'a');
  content.replace(100'000, 7, "the end");
  const auto mapped = blob(content);
  for (const auto& [offset, length] : std::vector<std::pair<std::uint64_t, std::size_t>>{
           {0, 1}, {0, 127}, {0, 128}, {1, 16'384}, {127, 3}, {128, 99'000}, {100'000, 7}}) {
    pb::BlobChunk expected;
    expected.set_offset(offset);
    expected.set_data(content.substr(offset, length));
    EXPECT_TRUE(flat(frame_chunk(mapped, offset, length)) == expected.SerializeAsString())
        << offset << "+" << length;
  }
}

TEST_F(BlobStreamTest, AFrameHoldsTheBlobAlive) {
  auto mapped = blob("some content");
  std::weak_ptr<const MappedBlob> watch = mapped;
  auto frame = std::make_unique<grpc::ByteBuffer>(frame_chunk(mapped, 0, 12));
  mapped.reset();
  EXPECT_FALSE(watch.expired());
  EXPECT_NE(flat(*frame).find("some content"), std::string::npos);
  frame.reset();
  EXPECT_TRUE(watch.expired());
}

TEST_F(BlobStreamTest, NoRangesMeanTheWholeBlob) {
  const auto ranges = plan_ranges(request({}), 42);
  ASSERT_TRUE(ranges);
  ASSERT_EQ(ranges->size(), 1U);
  EXPECT_EQ((*ranges)[0].length, 42U);
}

TEST_F(BlobStreamTest, RangesBeyondTheBlobAreRefused) {
  EXPECT_TRUE(plan_ranges(request({{0, 42}, {41, 1}}), 42));
  for (const auto& [offset, length] : std::vector<std::pair<std::uint64_t, std::uint64_t>>{
           {0, 43}, {42, 1}, {41, 2}, {0, 0}, {~0ULL, 2}, {2, ~0ULL}}) {
    const auto refused = plan_ranges(request({{offset, length}}), 42);
    ASSERT_FALSE(refused) << offset << "+" << length;
    EXPECT_EQ(refused.error().code(), Error::Code::kInvalidArgument);
  }
}

TEST_F(BlobStreamTest, TooManyRangesAreRefused) {
  pb::GetBlobRequest many;
  for (int i = 0; i <= 65'536; ++i) {
    many.add_ranges()->set_length(1);
  }
  EXPECT_EQ(plan_ranges(many, 42).error().code(), Error::Code::kTooLarge);
}

}  // namespace
}  // namespace skerry::controller
