#include "skerry/agent/device_time.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skerry::agent {
namespace {

using namespace std::chrono_literals;
using security::TimeQuality;
using ::testing::HasSubstr;

class DeviceTimeTest : public ::testing::Test {
 protected:
  const WallTime today_ = build_time() + 24h * 10;
  FakeClock clock_{today_};
  bool disciplined_ = false;
  DeviceTime time_{clock_, WallTime{}, [this] { return disciplined_; }};
};

TEST_F(DeviceTimeTest, NobodyVouchesAtFirst) {
  EXPECT_EQ(time_.now().quality, TimeQuality::kUnattested);
  EXPECT_EQ(time_.now().now, today_);
  EXPECT_EQ(time_.state().word, "unattested");
  EXPECT_THAT(time_.state().detail, HasSubstr("expiry only warns"));
}

TEST_F(DeviceTimeTest, TheKernelsWordIsEnoughForExpiry) {
  disciplined_ = true;
  EXPECT_EQ(time_.state().word, "synchronised");
  EXPECT_TRUE(time_.now().attested());
}

TEST_F(DeviceTimeTest, AClockBeforeTheFloorIsNotBelieved) {
  clock_.set_wall(build_time() - 24h * 365);
  EXPECT_EQ(time_.state().word, "floor");
  EXPECT_EQ(time_.now().now, build_time());
  EXPECT_FALSE(time_.now().attested());
  EXPECT_THAT(time_.state().detail, HasSubstr("365 days before"));
}

TEST_F(DeviceTimeTest, TheControllersTimeIsCarriedByTheBootClock) {
  clock_.set_wall(today_ - 24h * 3);
  EXPECT_TRUE(time_.vouch(today_)) << "far from what was persisted";
  clock_.advance(90s);
  EXPECT_EQ(time_.now().now, today_ + 90s);
  EXPECT_EQ(time_.now().quality, TimeQuality::kAttested);
  EXPECT_EQ(time_.state().word, "attested");
  EXPECT_EQ(time_.state().detail,
            "by the controller 90.0 s ago; the system clock is 3 days behind");
  // A step of the system clock changes nothing.
  clock_.set_wall(today_ + 24h * 365);
  EXPECT_EQ(time_.now().now, today_ + 90s);
}

TEST_F(DeviceTimeTest, AControllerCannotMakeTimeStandStill) {
  time_.vouch(today_);
  for (int hour = 1; hour <= 48; ++hour) {
    clock_.advance(1h);
    time_.vouch(today_);
    EXPECT_EQ(time_.now().now, today_ + hour * 1h);
  }
  EXPECT_GT(time_.floor(), today_);
  // One that is ahead is followed.
  time_.vouch(today_ + 72h);
  EXPECT_EQ(time_.now().now, today_ + 72h);
}

TEST_F(DeviceTimeTest, AnAttestationEndsWhenTheControllerIsLongGone) {
  time_.vouch(today_);
  clock_.advance(24h * 30 + 1s);
  EXPECT_EQ(time_.state().word, "unattested");
  EXPECT_GE(time_.now().now, today_ + 24h * 30);
}

TEST_F(DeviceTimeTest, AControllerBehindTheFloorIsNoWitness) {
  ASSERT_TRUE(time_.issued(today_));
  EXPECT_FALSE(time_.vouch(today_ - 1h));
  EXPECT_EQ(time_.state().word, "unattested");
}

TEST_F(DeviceTimeTest, TheFloorIsPersistedByTheHourAndNeverFalls) {
  EXPECT_TRUE(time_.vouch(today_));
  clock_.advance(59min);
  EXPECT_FALSE(time_.vouch(today_ + 59min));
  clock_.advance(1min);
  EXPECT_TRUE(time_.vouch(today_ + 60min));
  EXPECT_EQ(time_.floor(), today_ + 60min);
  EXPECT_FALSE(time_.issued(today_));
  EXPECT_EQ(time_.floor(), today_ + 60min);
}

TEST_F(DeviceTimeTest, FarJumpsOfMetadataNeedAVouchedClock) {
  EXPECT_FALSE(time_.issued(build_time() + 24h * 400));
  time_.vouch(today_);
  EXPECT_TRUE(time_.issued(today_ + 24h * 60));
}

}  // namespace
}  // namespace skerry::agent
