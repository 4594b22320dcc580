#include "skerry/common/bytes.hpp"

#include <gtest/gtest.h>

#include "skerry/common/digest.hpp"

namespace skerry {
namespace {

TEST(Hex, RoundTripsAndRefusesWhatIsNotHexadecimal) {
  const Bytes bytes{0x00, 0x7f, 0xff};
  EXPECT_EQ(to_hex(bytes), "007fff");
  EXPECT_EQ(*from_hex("007FfF"), bytes);
  EXPECT_EQ(from_hex("abc").error().code(), Error::Code::kParse);
  EXPECT_EQ(from_hex("0g").error().message(), "not hexadecimal at character 1");
}

// RFC 4648 §10.
TEST(Base64, MatchesTheVectorsOfTheRfc) {
  const std::vector<std::pair<std::string, std::string>> vectors{{"", ""},
                                                                 {"f", "Zg=="},
                                                                 {"fo", "Zm8="},
                                                                 {"foo", "Zm9v"},
                                                                 {"foob", "Zm9vYg=="},
                                                                 {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : vectors) {
    EXPECT_EQ(to_base64(as_bytes(plain)), encoded);
    const auto decoded = from_base64(encoded);
    ASSERT_TRUE(decoded) << encoded;
    EXPECT_EQ(as_text(*decoded), plain);
  }
}

TEST(Base64, RefusesEveryOtherForm) {
  for (const auto* text :
       {"Zg", "Zg=", "Z===", "====", "Zh==", "Zm9=", "Zm 9", "Zg==Zg==", "Zm9\n"}) {
    EXPECT_FALSE(from_base64(text)) << text;
  }
}

TEST(Utf8, AcceptsWellFormedTextOnly) {
  EXPECT_TRUE(is_utf8("plain, \xc3\xa9, \xe2\x82\xac, \xf0\x9f\xaa\xa8"));
  for (const auto* text :
       {"\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc3", "\x80", "\xff"}) {
    EXPECT_FALSE(is_utf8(text)) << to_hex(as_bytes(text));
  }
}

TEST(ConstantTime, ComparesWholeValues) {
  EXPECT_TRUE(equal_constant_time(as_bytes("abc"), as_bytes("abc")));
  EXPECT_FALSE(equal_constant_time(as_bytes("abc"), as_bytes("abd")));
  EXPECT_FALSE(equal_constant_time(as_bytes("abc"), as_bytes("ab")));
}

// FIPS 180-4, the "abc" example.
TEST(Digest, MatchesTheStandardsExampleWholeAndInPieces) {
  const std::string expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_EQ(Digest::of("abc").hex(), expected);
  Sha256 hash;
  hash.update("a");
  hash.update("bc");
  EXPECT_EQ(hash.finish().hex(), expected);
  hash.update("abc");
  EXPECT_EQ(hash.finish().hex(), expected) << "finish starts over";
}

TEST(Digest, ParsesTheOciGrammarOnly) {
  const Digest digest = Digest::of("x");
  EXPECT_EQ(*Digest::parse(digest.to_string()), digest);
  EXPECT_FALSE(Digest::parse(digest.hex()));
  EXPECT_FALSE(Digest::parse("sha256:../../etc/passwd"));
  EXPECT_FALSE(Digest::parse("sha512:" + digest.hex()));
  EXPECT_TRUE(Digest{}.is_zero());
}

}  // namespace
}  // namespace skerry
