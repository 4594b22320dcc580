#include "skerry/agent/blob_frame.hpp"

#include <string>

#include <gtest/gtest.h>

namespace skerry::agent {
namespace {

using std::string_literals::operator""s;

Result<BlobFrame> parse(const std::vector<std::string>& pieces) {
  std::vector<ByteView> views;
  for (const std::string& piece : pieces) {
    views.push_back(as_bytes(piece));
  }
  return parse_blob_frame(views);
}

std::string payload(const BlobFrame& frame) {
  std::string text;
  for (const ByteView piece : frame.data) {
    text += as_text(piece);
  }
  return text;
}

const std::string kWhole = "\x08\xac\x02\x12\x05hello"s;

TEST(BlobFrame, ReadsOffsetAndDataFromOnePiece) {
  const std::vector<std::string> pieces{kWhole};
  std::vector<ByteView> views{as_bytes(pieces[0])};
  Result<BlobFrame> frame = parse_blob_frame(views);
  ASSERT_TRUE(frame) << frame.error().to_string();
  EXPECT_EQ(frame->offset, 300U);
  EXPECT_EQ(payload(*frame), "hello");
  EXPECT_EQ(frame->size(), 5U);
}

TEST(BlobFrame, ReadsTheSameHoweverItIsCut) {
  for (std::size_t cut = 0; cut <= kWhole.size(); ++cut) {
    const std::string head = kWhole.substr(0, cut);
    const std::string tail = kWhole.substr(cut);
    const std::vector<ByteView> views{as_bytes(head), {}, as_bytes(tail)};
    Result<BlobFrame> frame = parse_blob_frame(views);
    ASSERT_TRUE(frame) << cut;
    EXPECT_EQ(frame->offset, 300U) << cut;
    EXPECT_EQ(payload(*frame), "hello") << cut;
  }
}

TEST(BlobFrame, RefusesEveryTruncation) {
  for (std::size_t length : {1U, 2U, 4U, 5U, 7U, 9U}) {
    Result<BlobFrame> frame = parse({kWhole.substr(0, length)});
    ASSERT_FALSE(frame) << length;
    EXPECT_EQ(frame.error().code(), Error::Code::kParse);
  }
}

TEST(BlobFrame, SkipsUnknownFields) {
  const std::vector<std::string> pieces{"\x18\x07\x22\x02zz"s + kWhole};
  std::vector<ByteView> views{as_bytes(pieces[0])};
  Result<BlobFrame> frame = parse_blob_frame(views);
  ASSERT_TRUE(frame);
  EXPECT_EQ(payload(*frame), "hello");
}

TEST(BlobFrame, RefusesASecondDataFieldAGroupAndAHugeLength) {
  EXPECT_FALSE(parse({kWhole + "\x12\x01x"s}));
  EXPECT_FALSE(parse({"\x1b"s}));
  Result<BlobFrame> huge = parse({"\x12\xff\xff\xff\xff\x0f"s});
  ASSERT_FALSE(huge);
  EXPECT_EQ(huge.error().code(), Error::Code::kTooLarge);
  EXPECT_FALSE(parse({"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s}));
}

TEST(BlobFrame, EmptyMessageIsAnEmptyChunkAtZero) {
  Result<BlobFrame> frame = parse({});
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->offset, 0U);
  EXPECT_EQ(frame->size(), 0U);
}

}  // namespace
}  // namespace skerry::agent
