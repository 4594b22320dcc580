#include "skerry/agent/http_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skerry::agent {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(HttpText, ResponseCarriesItsLength) {
  const std::string text =
      http_response(404, "application/json", {{"x-request-id", "r1"}}, "{}", true);
  EXPECT_THAT(text, StartsWith("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_THAT(text, HasSubstr("\r\ncontent-length: 2\r\n"));
  EXPECT_THAT(text, HasSubstr("\r\nx-request-id: r1\r\n"));
  EXPECT_THAT(text, EndsWith("\r\n\r\n{}"));
  EXPECT_THAT(http_response(200, "a/b", {}, "", false), HasSubstr("connection: close"));
}

TEST(HttpText, ChunksAreFramedInHexadecimal) {
  EXPECT_EQ(http_chunk("0123456789abcdef!"), "11\r\n0123456789abcdef!\r\n");
  EXPECT_EQ(http_chunk(""), "");
  EXPECT_EQ(http_last_chunk(), "0\r\n\r\n");
}

TEST(HttpText, DecodesEscapesAndRefusesBrokenOnes) {
  EXPECT_EQ(percent_decode("acme%2Flog-triage").value_or(""), "acme/log-triage");
  EXPECT_EQ(percent_decode("%41").value_or(""), "A");
  for (const char* text : {"%", "%4", "a%zz", "%00", "a\nb"}) {
    EXPECT_FALSE(percent_decode(text)) << text;
  }
}

TEST(HttpText, OnlyLoopbackNamesPassTheHostCheck) {
  for (const char* host : {"localhost", "LOCALHOST:11435", "127.0.0.1:11435", "[::1]:11435"}) {
    EXPECT_TRUE(host_allowed(host, {})) << host;
  }
  for (const char* host : {"", "evil.example", "localhost.evil.example:80", "127.0.0.1.evil"}) {
    EXPECT_FALSE(host_allowed(host, {})) << host;
  }
  EXPECT_TRUE(host_allowed("gw-7.lan:11435", {"GW-7.lan"}));
}

TEST(HttpText, ForeignOriginsAreRefused) {
  EXPECT_TRUE(origin_allowed("", {}));
  EXPECT_TRUE(origin_allowed("http://localhost:3000", {}));
  EXPECT_FALSE(origin_allowed("null", {}));
  EXPECT_FALSE(origin_allowed("https://evil.example", {}));
}

}  // namespace
}  // namespace skerry::agent
