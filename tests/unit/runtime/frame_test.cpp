#include "skerry/runtime/frame.hpp"

#include <gtest/gtest.h>

namespace skerry::runtime {
namespace {

TEST(Frame, SurvivesBeingFedByteByByte) {
  const std::string bytes = *encode_frame("hello", 2) + *encode_frame("", 0);
  FrameDecoder decoder;
  std::vector<Frame> frames;
  for (const char byte : bytes) {
    decoder.feed(as_bytes(std::string_view{&byte, 1}));
    auto frame = decoder.next();
    ASSERT_TRUE(frame);
    if (*frame) {
      frames.push_back(std::move(**frame));
    }
  }
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[0].payload, "hello");
  EXPECT_EQ(frames[0].descriptors, 2U);
  EXPECT_EQ(frames[1].payload, "");
}

TEST(Frame, SeveralFramesInOneReadComeOneByOne) {
  std::string bytes;
  for (int i = 0; i < 100; ++i) {
    bytes += *encode_frame(std::string(5000, static_cast<char>('a' + i % 26)), 0);
  }
  FrameDecoder decoder;
  decoder.feed(as_bytes(bytes));
  for (int i = 0; i < 100; ++i) {
    auto frame = decoder.next();
    ASSERT_TRUE(frame && *frame);
    EXPECT_EQ((*frame)->payload, std::string(5000, static_cast<char>('a' + i % 26)));
  }
  EXPECT_FALSE(*decoder.next());
}

TEST(Frame, GarbageBreaksTheStreamForGood) {
  FrameDecoder decoder;
  decoder.feed(as_bytes("this is not a frame"));
  const auto first = decoder.next();
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code(), Error::Code::kParse);
  decoder.feed(as_bytes(*encode_frame("fine", 0)));
  EXPECT_FALSE(decoder.next());
}

TEST(Frame, AnnouncedSizeIsRefusedBeforeItIsAllocated) {
  std::string bytes = *encode_frame("x", 0);
  bytes[7] = '\x7f';  // 2 GiB
  FrameDecoder decoder;
  decoder.feed(as_bytes(bytes));
  const auto frame = decoder.next();
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().code(), Error::Code::kTooLarge);
}

TEST(Frame, LimitsHoldForTheSenderToo) {
  EXPECT_FALSE(encode_frame("", kMaxFrameDescriptors + 1));
  EXPECT_FALSE(encode_frame(std::string(kMaxFramePayload + 1, 'x'), 0));
}

}  // namespace
}  // namespace skerry::runtime
