// The byte budget of the link on disk: what a restart and what a kill cost of it, and a link that
// becomes metered while the daemon runs.

#include "skerry/agent/link_keeper.hpp"

#include <fstream>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skerry/common/random.hpp"

#include "temp_dir.hpp"

namespace skerry::agent {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kMebibyte = 1U << 20U;

// Noon of the tenth of a month after this program was built: a clock that may be believed, and a
// day later it is the same month.
WallTime some_tenth() {
  using std::chrono::days;
  const std::chrono::year_month_day later{std::chrono::floor<days>(build_time() + days{31})};
  const std::chrono::sys_days tenth{later.year() / later.month() / std::chrono::day{10}};
  return WallTime{tenth + std::chrono::hours{12}};
}

class LinkKeeperTest : public ::testing::Test {
 protected:
  LinkKeeperTest() { configure(""); }

  // `link` is the table [link] of the configuration.
  void configure(const std::string& link) {
    std::string text = "state_dir = \"";
    text += dir_.path().string();
    text += "\"\n[link]\n";
    text += link;
    const auto config = parse_config(text, "test.toml");
    ASSERT_TRUE(config) << config.error().to_string();
    const auto settings = finalize(*config, Environment{"/nowhere", "test", false});
    ASSERT_TRUE(settings) << settings.error().to_string();
    core_.settings = std::make_shared<const Settings>(*settings);
  }

  test::TempDir dir_;
  boost::asio::io_context io_;
  FakeClock clock_{some_tenth()};
  SystemFileSystem fs_;
  SystemRandom random_;
  async::TaskGroup tasks_{io_.get_executor(), [](const std::string&, const std::string&) {}};
  Core core_{io_.get_executor(),
             io_.get_executor(),
             [this] { return boost::asio::any_io_executor{io_.get_executor()}; },
             clock_,
             fs_,
             random_,
             Log{},
             nullptr,
             tasks_};
  DeviceTime time_{clock_, WallTime{}, [] { return true; }};
};

TEST_F(LinkKeeperTest, AStopCostsNothingAndAKillAtMostOneStep) {
  std::uint64_t spent = 0;
  {
    LinkKeeper link{core_, time_};
    ASSERT_TRUE(link.spend(3 * kMebibyte));
    spent = link.state().day_bytes;
    EXPECT_EQ(spent, 3 * kMebibyte);
    ASSERT_TRUE(link.close());
  }
  {
    LinkKeeper link{core_, time_};
    EXPECT_EQ(link.state().day_bytes, spent) << "as it was left";
    EXPECT_EQ(link.state().month_bytes, spent);
    ASSERT_TRUE(link.spend(kMebibyte));
    // Killed: it ends without a word.
  }
  LinkKeeper link{core_, time_};
  EXPECT_GE(link.state().day_bytes, spent + kMebibyte) << "a kill gives no budget";
  EXPECT_LE(link.state().day_bytes, spent + kMebibyte + 8 * kMebibyte);
}

TEST_F(LinkKeeperTest, ALinkThatBecomesMeteredHasABudgetOfItsOwn) {
  const auto marker = dir_ / "metered";
  std::string table = "metered_daily = 4194304\nmetered_file = \"";
  table += marker.string();
  table += "\"\n";
  configure(table);
  LinkKeeper link{core_, time_};
  EXPECT_FALSE(link.state().metered);
  ASSERT_TRUE(link.spend(5 * kMebibyte));
  ASSERT_TRUE(link.spend(0)) << "a wire has no budget here";
  std::ofstream{marker} << "";
  EXPECT_TRUE(link.state().metered);
  EXPECT_EQ(link.state().day_limit, 4 * kMebibyte);
  EXPECT_THAT(link.state().held_back, HasSubstr("daily budget of 4194304 bytes is used"));
  const auto refused = link.spend(1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Error::Code::kResourceExhausted);
  std::filesystem::remove(marker);
  EXPECT_TRUE(link.state().held_back.empty());
  EXPECT_TRUE(link.spend(1));
}

TEST_F(LinkKeeperTest, TheSmallerOfTwoBudgetsCounts) {
  configure("metered = true\ndaily = 2097152\nmetered_daily = 4194304\nmonthly = 3145728\n");
  LinkKeeper link{core_, time_};
  EXPECT_EQ(link.state().day_limit, 2 * kMebibyte);
  ASSERT_TRUE(link.spend(2 * kMebibyte));
  EXPECT_THAT(link.state().held_back, HasSubstr("daily budget"));
  clock_.advance(std::chrono::hours{24});
  EXPECT_TRUE(link.state().held_back.empty()) << link.state().held_back;
  ASSERT_TRUE(link.spend(kMebibyte));
  EXPECT_THAT(link.state().held_back, HasSubstr("monthly budget of 3145728 bytes is used"));
}

TEST_F(LinkKeeperTest, QuietHoursHoldWhateverIsLeft) {
  configure("daily = 1073741824\nquiet_hours = [\"00:00-12:00\", \"12:00-00:00\"]\n");
  LinkKeeper link{core_, time_};
  EXPECT_FALSE(link.spend(1));
  EXPECT_THAT(link.state().held_back, HasSubstr("the link is quiet until"));
}

TEST_F(LinkKeeperTest, ADamagedBookBeginsAnew) {
  std::ofstream{dir_ / "link-budget.json"} << "{\"day\": ";
  LinkKeeper link{core_, time_};
  EXPECT_EQ(link.state().day_bytes, 0U);
  EXPECT_TRUE(link.spend(1));
}

}  // namespace
}  // namespace skerry::agent
