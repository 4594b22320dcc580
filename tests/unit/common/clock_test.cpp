#include "skerry/common/clock.hpp"

#include <gtest/gtest.h>

#include "skerry/common/id.hpp"
#include "skerry/common/log.hpp"
#include "skerry/common/random.hpp"

namespace skerry {
namespace {

using namespace std::chrono_literals;

TEST(Rfc3339, RoundTrips) {
  for (const auto* text :
       {"1970-01-01T00:00:00Z", "2026-11-22T19:18:27Z", "2024-02-29T23:59:59Z"}) {
    const auto time = parse_rfc3339(text);
    ASSERT_TRUE(time) << text;
    EXPECT_EQ(to_rfc3339(*time), text);
  }
  EXPECT_EQ(parse_rfc3339("1970-01-01T00:00:01.25Z")->time_since_epoch(), 1250ms);
}

TEST(Rfc3339, RefusesEverythingElse) {
  for (const auto* text : {"",
                           "2026-11-22",
                           "2026-11-22 19:18:27Z",
                           "2026-11-22T19:18:27",
                           "2026-13-01T00:00:00Z",
                           "2026-02-29T00:00:00Z",
                           "2026-11-22T24:00:00Z",
                           "2026-11-22T19:18:27+01:00",
                           "2026-11-22T19:18:27.Z",
                           "2026-11-22T19:18:27Zx",
                           "x026-11-22T19:18:27Z"}) {
    EXPECT_FALSE(parse_rfc3339(text)) << text;
  }
}

TEST(FakeClock, KeepsBootTimeGoingWhenTheWallClockStepsBack) {
  FakeClock clock{*parse_rfc3339("2026-01-01T00:00:00Z")};
  const auto boot = clock.boot_now();
  clock.set_wall(*parse_rfc3339("1970-01-01T00:00:00Z"));
  clock.advance(5s);
  EXPECT_EQ(clock.boot_now() - boot, 5s);
  EXPECT_EQ(to_rfc3339(clock.wall_now()), "1970-01-01T00:00:05Z");
}

TEST(Random, BelowStaysBelowAndReachesEveryValue) {
  FakeRandom random{1};
  std::vector<int> seen(5);
  for (int i = 0; i < 500; ++i) {
    ++seen.at(random.below(5));
  }
  for (const int count : seen) {
    EXPECT_GT(count, 50);
  }
  SystemRandom system;
  EXPECT_NE(system.hex(16), system.hex(16));
}

TEST(Name, RefusesWhatCouldLeaveADirectoryOrHide) {
  EXPECT_TRUE(check_name("log-triage_2.q4", "model"));
  for (const auto* name : {"", ".hidden", "-x", "a..b", "a/b", "A", "a b", "\xc3\xa9"}) {
    EXPECT_FALSE(check_name(name, "model")) << name;
  }
  EXPECT_FALSE(check_name(std::string(65, 'a'), "model"));
  EXPECT_NE(check_name("a/b", "team").error().message().find("team \"a/b\": character 2"),
            std::string::npos);
}

TEST(Log, DropsWhatIsBelowTheThresholdAndQuotesValues) {
  std::vector<std::string> lines;
  const Log log{LogLevel::kInfo,
                [&lines](const LogRecord& record) { lines.push_back(format_logfmt(record)); }};
  log.debug("worker.heartbeat");
  log.info("model.activated",
           {{"model", "acme/log-triage"}, {"note", "a \"b\"\n=c"}, {"size", 12}, {"ok", true}});
  log.error("sync.failed", Error{Error::Code::kUnavailable, "no route"});
  log.set_threshold(LogLevel::kError);
  log.warning("dropped");
  EXPECT_EQ(
      lines,
      (std::vector<std::string>{
          R"(level=info event=model.activated model=acme/log-triage note="a \"b\"\n=c" size=12 ok=true)",
          R"(level=error event=sync.failed code=unavailable error="no route")"}));
}

}  // namespace
}  // namespace skerry
