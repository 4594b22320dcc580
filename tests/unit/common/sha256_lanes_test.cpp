#include "skerry/common/sha256_lanes.hpp"

#include <gtest/gtest.h>

#include "skerry/common/random.hpp"

namespace skerry {
namespace {

Bytes random_content(std::size_t size, std::uint64_t seed) {
  Bytes bytes(size);
  FakeRandom random{seed};
  random.fill(bytes);
  return bytes;
}

// FIPS 180-4 examples: NIST CSRC, SHA256.pdf.
TEST(Sha256LanesTest, AgreesWithThePublishedExamples) {
  constexpr std::string_view kShort = "abc";
  constexpr std::string_view kLong = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  EXPECT_EQ(digest_pair(as_bytes(kShort), as_bytes("abd")).first.hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest_pair(as_bytes(kLong), as_bytes(kLong)).second.hex(),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256LanesTest, AgreesWithOpenSslForEveryLengthAroundABlock) {
  for (std::size_t size = 0; size <= 200; ++size) {
    const auto a = random_content(size, 2 * size);
    const auto b = random_content(size, 2 * size + 1);
    EXPECT_EQ(digest_pair(a, b), (std::pair{Digest::of(a), Digest::of(b)})) << size;
  }
  const auto a = random_content(1'000'003, 1);
  const auto b = random_content(1'000'003, 2);
  EXPECT_EQ(digest_pair(a, b), (std::pair{Digest::of(a), Digest::of(b)}));
  EXPECT_EQ(digest_pair(a, ByteView{b}.first(77)).second, Digest::of(ByteView{b}.first(77)));
}

TEST(Sha256LanesTest, HashesTheWholeAndItsPiecesInOnePass) {
  for (const std::size_t size : {1U, 63U, 64U, 65U, 4096U, 4097U, 9 * 4096U + 63U}) {
    const auto content = random_content(size, size);
    PiecewiseSha256 hash;
    for (std::size_t offset = 0; offset < size; offset += 4096) {
      const auto piece =
          ByteView{content}.subspan(offset, std::min<std::size_t>(4096, size - offset));
      EXPECT_EQ(hash.add(piece), Digest::of(piece)) << size << " at " << offset;
    }
    EXPECT_EQ(hash.finish(), Digest::of(content)) << size;
  }
}

}  // namespace
}  // namespace skerry
