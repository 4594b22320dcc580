#include "skerry/agent/blob_http.hpp"

#include <gtest/gtest.h>

namespace skerry::agent {
namespace {

TEST(BlobHttpTest, APathNamesABlob) {
  const auto digest = Digest::of("x");
  const auto hex = digest.hex();
  EXPECT_EQ(*parse_blob_path("/sha256/" + hex.substr(0, 2) + "/" + hex), digest);
  for (const auto& path : {"/sha256/" + hex,
                           "/sha256/00/" + hex,
                           "/blobs/" + hex.substr(0, 2) + "/" + hex,
                           "/sha256/" + hex.substr(0, 2) + "/" + hex + "/",
                           "/sha256/" + hex.substr(0, 2) + "/" + hex.substr(1) + "g",
                           std::string{"/sha256/../../keys/device.pem"},
                           std::string{}}) {
    EXPECT_FALSE(parse_blob_path(path)) << path;
  }
}

TEST(BlobHttpTest, ARangeIsOneAndWithinTheBlob) {
  EXPECT_EQ(*parse_byte_range("bytes=0-9", 100), (ByteSpan{0, 9}));
  EXPECT_EQ(*parse_byte_range("bytes=90-199", 100), (ByteSpan{90, 99}));
  for (const auto* text : {"bytes=100-110",
                           "bytes=9-5",
                           "bytes=-5",
                           "bytes=5-",
                           "bytes=0-1,4-5",
                           "bytes=0-99999999999999999999",
                           "chunks=0-1",
                           "bytes= 0-1",
                           ""}) {
    EXPECT_FALSE(parse_byte_range(text, 100)) << text;
  }
}

TEST(BlobHttpTest, AContentRangeSaysWhatIsSent) {
  EXPECT_EQ(*parse_content_range("bytes 0-9/100"), (ByteSpan{0, 9}));
  EXPECT_EQ(*parse_content_range("bytes 5-5/*"), (ByteSpan{5, 5}));
  for (const auto* text : {"bytes 0-9/9",
                           "bytes 9-0/100",
                           "bytes */100",
                           "bytes 0-9",
                           "bytes 0-9/100x",
                           "0-9/100",
                           ""}) {
    EXPECT_FALSE(parse_content_range(text)) << text;
  }
}

}  // namespace
}  // namespace skerry::agent
