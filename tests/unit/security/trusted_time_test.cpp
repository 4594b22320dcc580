#include "skerry/security/trusted_time.hpp"

#include <gtest/gtest.h>

namespace skerry::security {
namespace {

using namespace std::chrono_literals;

const WallTime kBuild{std::chrono::seconds{1795000000}};

TEST(TimeFloor, NeverGoesBelowTheBuildOrTheFloor) {
  const FakeClock early{kBuild - 24h * 365};
  const TimeFloor floor{kBuild, kBuild + 1h};
  EXPECT_EQ(floor.now(early, TimeQuality::kSynchronised).now, kBuild + 1h);
  EXPECT_EQ(floor.now(early, TimeQuality::kSynchronised).quality, TimeQuality::kFloor);
  EXPECT_FALSE(floor.now(early, TimeQuality::kAttested).attested());
  const FakeClock late{kBuild + 2h};
  EXPECT_EQ(floor.now(late, TimeQuality::kSynchronised).now, kBuild + 2h);
  EXPECT_TRUE(floor.now(late, TimeQuality::kSynchronised).attested());
}

TEST(TimeFloor, IsRaisedButNeverLowered) {
  TimeFloor floor{kBuild, WallTime{}};
  EXPECT_TRUE(floor.raise(kBuild + 1h, TimeQuality::kUnattested));
  EXPECT_FALSE(floor.raise(kBuild, TimeQuality::kAttested));
  EXPECT_EQ(floor.floor(), kBuild + 1h);
}

TEST(TimeFloor, AFarJumpNeedsAVouchedClock) {
  TimeFloor floor{kBuild, WallTime{}};
  EXPECT_FALSE(floor.raise(kBuild + 24h * 365, TimeQuality::kUnattested));
  EXPECT_TRUE(floor.raise(kBuild + 24h * 365, TimeQuality::kSynchronised));
}

}  // namespace
}  // namespace skerry::security
