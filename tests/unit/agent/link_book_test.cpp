#include "skerry/agent/link_book.hpp"

#include <cstdlib>

#include <gtest/gtest.h>

#include "skerry/common/file_system.hpp"

#include "temp_dir.hpp"

namespace skerry::agent {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

// 2026-11-23T00:00:00Z, a Monday.
constexpr WallTime kMonday{std::chrono::milliseconds{1'795'392'000'000}};

LinkTime known(WallTime wall, BootTime boot = {}) {
  return {wall, boot};
}
LinkTime unknown(BootTime boot) {
  return {std::nullopt, boot};
}

TEST(LinkBookTest, ADayEndsAtMidnightUtc) {
  LinkRules rules;
  rules.daily = 1000;
  LinkBook book{{}, {}};
  const auto evening = known(kMonday + hours{23});
  book.advance(evening);
  ASSERT_TRUE(book.may(rules, evening));
  book.add(1000);
  const auto refused = book.may(rules, evening);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Error::Code::kResourceExhausted);
  EXPECT_NE(refused.error().message().find("2026-11-24T00:00:00"), std::string::npos)
      << refused.error().message();
  const auto morning = known(kMonday + hours{24});
  book.advance(morning);
  EXPECT_TRUE(book.may(rules, morning));
  EXPECT_EQ(book.use().day_bytes, 0U);
  EXPECT_EQ(book.use().month_bytes, 1000U);
}

TEST(LinkBookTest, QuietHoursAreThoseOfTheirZone) {
  const auto berlin = TimeZone::find("Europe/Berlin");
  if (!berlin) {
    GTEST_SKIP() << "tzdata is not installed: " << berlin.error().message();
  }
  LinkRules rules;
  rules.quiet = {*parse_quiet_hours("22:00-06:00")};
  rules.zone = *berlin;
  const LinkBook book{{}, {}};
  const auto quiet_at = [&](const char* utc) {
    return !book.may(rules, known(*parse_rfc3339(utc))).has_value();
  };
  // In winter an hour ahead of UTC, in summer two.
  EXPECT_FALSE(quiet_at("2026-01-15T20:59:00Z"));
  EXPECT_TRUE(quiet_at("2026-01-15T21:00:00Z"));
  EXPECT_TRUE(quiet_at("2026-01-16T04:59:00Z"));
  EXPECT_FALSE(quiet_at("2026-01-16T05:00:00Z"));
  EXPECT_FALSE(quiet_at("2026-07-15T19:59:00Z"));
  EXPECT_TRUE(quiet_at("2026-07-15T20:00:00Z"));
  EXPECT_TRUE(quiet_at("2026-07-16T03:59:00Z"));
  EXPECT_FALSE(quiet_at("2026-07-16T04:00:00Z"));
  // The nights in which summer time begins and ends.
  EXPECT_TRUE(quiet_at("2026-03-29T03:59:00Z"));
  EXPECT_FALSE(quiet_at("2026-03-29T04:00:00Z"));
  EXPECT_TRUE(quiet_at("2026-10-25T04:59:00Z"));
  EXPECT_FALSE(quiet_at("2026-10-25T05:00:00Z"));
  // Long after the table of a file ends, by the rule at its end.
  EXPECT_TRUE(quiet_at("2060-07-15T20:00:00Z"));
  EXPECT_FALSE(quiet_at("2060-07-15T19:59:00Z"));
  EXPECT_TRUE(quiet_at("2060-03-27T04:59:00Z"));
  EXPECT_TRUE(quiet_at("2060-03-28T03:59:00Z"));
  EXPECT_FALSE(quiet_at("2060-03-28T04:00:00Z"));
  EXPECT_TRUE(quiet_at("2060-02-29T04:59:00Z"));
  EXPECT_FALSE(quiet_at("2060-02-29T05:00:00Z"));
  EXPECT_EQ(book.may(rules, known(*parse_rfc3339("2026-07-15T22:00:00Z"))).error().message(),
            "the link is quiet until 06:00 Europe/Berlin");
  // The budget's day stays that of UTC.
  rules.quiet.clear();
  rules.daily = 10;
  LinkBook spent{{}, {}};
  const auto evening = known(*parse_rfc3339("2026-07-15T23:30:00Z"));
  spent.advance(evening);
  spent.add(10);
  EXPECT_FALSE(spent.may(rules, evening));
}

TEST(TimeZoneTest, NamesThatAreNoneAreRefused) {
  EXPECT_EQ(TimeZone::find("UTC")->offset_at(kMonday), std::chrono::seconds{0});
  for (const char* name : {"",
                           "Europe/Atlantis",
                           "../../etc/passwd",
                           "/etc/localtime",
                           "Europe",
                           "zone.tab",
                           "europe/berlin ",
                           "tzdata.zi"}) {
    const auto zone = TimeZone::find(name);
    ASSERT_FALSE(zone) << name;
    EXPECT_EQ(zone.error().code(), Error::Code::kNotFound);
    EXPECT_NE(zone.error().message().find("Europe/Berlin"), std::string::npos);
  }
}

std::string big_endian(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes; i-- > 0;) {
    out += static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
  }
  return out;
}

std::string tzif_header(std::uint64_t times, std::uint64_t types, std::uint64_t characters) {
  return "TZif2" + std::string(15 + 3 * 4, '\0') + big_endian(times, 4) + big_endian(types, 4) +
         big_endian(characters, 4);
}

// As `zic -b slim` writes it: the table ends where the rule in the footer begins (RFC 8536, 3.3).
TEST(TimeZoneTest, TheRuleInTheFooterOfASlimFileCounts) {
  const std::string nothing_in_32_bits = tzif_header(0, 1, 1) + std::string(6 + 1, '\0');
  const std::string table = tzif_header(2, 2, 9) + big_endian(828'234'000, 8) +  // 1996-03-31
                            big_endian(846'378'000, 8) +                         // 1996-10-27
                            std::string("\1\0", 2) + big_endian(3600, 4) + std::string("\0\0", 2) +
                            big_endian(7200, 4) + std::string("\1\4", 2) +
                            std::string("CET\0CEST\0", 9);
  const test::TempDir dir;
  SystemFileSystem fs;
  ASSERT_TRUE(write_file_atomic(
      fs, dir / "Slim", nothing_in_32_bits + table + "\nCET-1CEST,M3.5.0,M10.5.0/3\n", 0644));
  // NOLINTNEXTLINE(concurrency-mt-unsafe): this test runs no other thread
  ASSERT_EQ(::setenv("TZDIR", dir.path().c_str(), 1), 0);
  const auto zone = TimeZone::find("Slim");
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  ASSERT_EQ(::unsetenv("TZDIR"), 0);
  ASSERT_TRUE(zone) << zone.error().message();
  const auto hours_at = [&](const char* utc) {
    return std::chrono::duration_cast<hours>(zone->offset_at(*parse_rfc3339(utc))).count();
  };
  EXPECT_EQ(hours_at("1996-07-15T12:00:00Z"), 2);
  EXPECT_EQ(hours_at("2026-01-15T12:00:00Z"), 1);
  EXPECT_EQ(hours_at("2026-07-15T12:00:00Z"), 2);
  EXPECT_EQ(hours_at("2026-03-29T00:59:59Z"), 1);
  EXPECT_EQ(hours_at("2026-03-29T01:00:00Z"), 2);
  EXPECT_EQ(hours_at("2060-07-15T12:00:00Z"), 2);
  EXPECT_EQ(hours_at("2060-12-15T12:00:00Z"), 1);
}

TEST(LinkBookTest, AMonthEndsWithTheCalendar) {
  LinkRules rules;
  rules.monthly = 500;
  LinkBook book{{}, {}};
  const auto now = known(kMonday);
  book.advance(now);
  book.add(500);
  EXPECT_NE(book.may(rules, now).error().message().find("2026-12-01T00:00:00"), std::string::npos);
  const auto december = known(kMonday + 8 * hours{24});
  book.advance(december);
  EXPECT_TRUE(book.may(rules, december));
}

TEST(LinkBookTest, WithoutAClockADayIsTwentyFourHoursOfRunningTime) {
  LinkRules rules;
  rules.daily = 10;
  BootTime boot{};
  LinkBook book{{}, boot};
  boot += hours{100};  // nothing came yet: no day has begun
  book.advance(unknown(boot));
  book.add(10);
  boot += hours{23};
  book.advance(unknown(boot));
  EXPECT_FALSE(book.may(rules, unknown(boot)));
  // A restart, and the boot clock begins anew: the day goes on where it was.
  LinkBook again{book.use(), BootTime{}};
  again.advance(unknown(BootTime{} + minutes{59}));
  EXPECT_FALSE(again.may(rules, unknown(BootTime{} + minutes{59})));
  again.advance(unknown(BootTime{} + minutes{60}));
  EXPECT_TRUE(again.may(rules, unknown(BootTime{} + minutes{60})));
}

TEST(LinkBookTest, AClockThatIsVouchedForLaterKeepsWhatWasSpent) {
  LinkRules rules;
  rules.daily = 10;
  LinkBook book{{}, {}};
  book.advance(unknown({}));
  book.add(10);
  book.advance(known(kMonday));
  EXPECT_FALSE(book.may(rules, known(kMonday)));
  // Going back is no way to a new day; neither is losing the clock.
  book.advance(known(kMonday - hours{48}));
  EXPECT_FALSE(book.may(rules, known(kMonday - hours{48})));
  book.advance(unknown(BootTime{} + hours{1}));
  EXPECT_FALSE(book.may(rules, unknown(BootTime{} + hours{1})));
  book.advance(known(kMonday + hours{24}));
  EXPECT_TRUE(book.may(rules, known(kMonday + hours{24})));
}

TEST(LinkBookTest, QuietHoursGoOverMidnightAndNeedAClock) {
  LinkRules rules;
  rules.quiet = {*parse_quiet_hours("22:30-06:00")};
  const LinkBook book{{}, {}};
  EXPECT_TRUE(book.may(rules, known(kMonday + hours{22} + minutes{29})));
  EXPECT_FALSE(book.may(rules, known(kMonday + hours{22} + minutes{30})));
  const auto refused = book.may(rules, known(kMonday + hours{5} + minutes{59}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(), "the link is quiet until 06:00 UTC");
  EXPECT_TRUE(book.may(rules, known(kMonday + hours{6})));
  EXPECT_TRUE(book.may(rules, unknown({})));
}

TEST(LinkBookTest, RefusesHoursThatAreNone) {
  for (const auto* text :
       {"", "22-6", "24:00-06:00", "22:60-06:00", "22:00", "06:00-06:00", "6:00-7:00"}) {
    const auto refused = parse_quiet_hours(text);
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().message(),
              "must be \"HH:MM-HH:MM\", in the zone of link.quiet_hours_zone");
  }
}

TEST(LinkBookTest, WhatIsStoredComesBack) {
  LinkBook book{{}, {}};
  book.advance(known(kMonday));
  book.add(123);
  book.advance(known(kMonday + hours{1}, BootTime{} + hours{1}));
  const auto use = LinkUse::from_json(book.use().to_json());
  ASSERT_TRUE(use) << use.error().message();
  EXPECT_EQ(*use, book.use());
  EXPECT_EQ(use->day_ran, hours{1});
  for (const auto* text : {"", "{}", "[]", R"({"version":2})"}) {
    EXPECT_FALSE(LinkUse::from_json(text)) << text;
  }
}

}  // namespace
}  // namespace skerry::agent
