// The prediction gives the same bits whatever the compiler did: the codec is built without
// optimization, and with everything that breaks floating point (-O3 -march=native -ffast-math),
// beside the build that ships. All must decode the golden delta to the bytes that it was made from,
// and code one segment to the same bytes. What an ARM machine does is shown by running this test
// there: the golden file was made on x86-64.

#include <array>
#include <cstdio>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skerry/common/digest.hpp"

#include "delta_golden.hpp"

namespace skerry::registry {
namespace {

std::string printed_by(const std::string& program) {
  const std::string command = program + " " + SKERRY_DELTA_GOLDEN;
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) {
    return "cannot start";
  }
  std::string text;
  std::array<char, 256> buffer{};
  while (std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) {
    text += buffer.data();
  }
  return ::pclose(pipe) == 0 ? text : "failed: " + text;
}

TEST(DeltaBits, AreTheSameUnderEveryCompilerFlag) {
  const std::string shipped = printed_by(SKERRY_DELTA_PROBE_SHIPPED);
  EXPECT_THAT(shipped,
              ::testing::HasSubstr("decoded " + Digest::of(test::golden_target()).hex() + "\n"));
  EXPECT_THAT(shipped, ::testing::HasSubstr("round trip equal"));
  EXPECT_EQ(printed_by(SKERRY_DELTA_PROBE_PLAIN), shipped);
  EXPECT_EQ(printed_by(SKERRY_DELTA_PROBE_FAST), shipped);
}

}  // namespace
}  // namespace skerry::registry
