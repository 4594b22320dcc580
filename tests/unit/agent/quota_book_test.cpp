#include "skerry/agent/quota_book.hpp"

#include <gtest/gtest.h>

namespace skerry::agent {
namespace {

using namespace std::chrono_literals;

class QuotaBookTest : public ::testing::Test {
 protected:
  static security::Decision decision(security::PolicyQuota quota,
                                     std::string principal = "uid:1000",
                                     std::string role = "app") {
    security::Decision out;
    out.allowed = true;
    out.principal = std::move(principal);
    out.role = std::move(role);
    out.quota = quota;
    return out;
  }
  // Seconds to wait, 0 if admitted.
  std::int64_t admit(const security::Decision& of) {
    const auto admitted = book_.admit(of, now_);
    if (admitted) {
      return 0;
    }
    EXPECT_EQ(admitted.error().code(), Error::Code::kResourceExhausted);
    const auto wait = quota_wait(admitted.error());
    EXPECT_TRUE(wait) << admitted.error().to_string();
    return wait ? wait->count() : -1;
  }

  QuotaBook book_;
  BootTime now_{1h};
};

TEST_F(QuotaBookTest, NoQuotaIsNoLimitAndRemembersNothing) {
  const auto free = decision({});
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(admit(free), 0);
  }
  EXPECT_EQ(book_.size(), 0U);
}

TEST_F(QuotaBookTest, RequestsAMinuteComeBackEvenly) {
  const auto app = decision({.requests_per_minute = 6});
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(admit(app), 0) << i;
    book_.finish(app, 0, now_);
  }
  EXPECT_EQ(admit(app), 10);
  now_ += 4s;
  EXPECT_EQ(admit(app), 6);
  now_ += 6s;
  EXPECT_EQ(admit(app), 0);
  EXPECT_EQ(admit(app), 10);
}

TEST_F(QuotaBookTest, TokensAreADebtThatIsWorkedOff) {
  const auto app = decision({.tokens_per_minute = 60});
  EXPECT_EQ(admit(app), 0);
  book_.finish(app, 90, now_);
  EXPECT_EQ(admit(app), 31) << "30 too many at one a second, and one to begin with";
  now_ += 31s;
  EXPECT_EQ(admit(app), 0);
}

TEST_F(QuotaBookTest, ConcurrentRequestsEndWhenTheyAreFinished) {
  const auto app = decision({.concurrent = 2});
  EXPECT_EQ(admit(app), 0);
  EXPECT_EQ(admit(app), 0);
  EXPECT_EQ(admit(app), 1);
  book_.finish(app, 1'000'000, now_);
  EXPECT_EQ(admit(app), 0) << "tokens are not limited";
  EXPECT_EQ(admit(app), 1);
}

TEST_F(QuotaBookTest, PrincipalsAndRolesHaveTheirOwn) {
  const security::PolicyQuota one{.requests_per_minute = 1};
  EXPECT_EQ(admit(decision(one, "uid:1")), 0);
  EXPECT_EQ(admit(decision(one, "uid:2")), 0);
  EXPECT_EQ(admit(decision(one, "uid:1", "other")), 0);
  EXPECT_EQ(admit(decision(one, "uid:1")), 60);
}

TEST_F(QuotaBookTest, WhoRestsIsForgottenAndWhoOwesIsNot) {
  const auto rests = decision({.requests_per_minute = 10}, "uid:1");
  const auto owes = decision({.tokens_per_minute = 1}, "uid:2");
  admit(rests);
  book_.finish(rests, 0, now_);
  admit(owes);
  book_.finish(owes, 1000, now_);
  EXPECT_EQ(book_.size(), 2U);
  now_ += 5min;
  EXPECT_GT(admit(owes), 0);
  EXPECT_EQ(book_.size(), 1U);
}

TEST_F(QuotaBookTest, NewerPolicyCountsAtOnce) {
  EXPECT_EQ(admit(decision({.concurrent = 1})), 0);
  EXPECT_EQ(admit(decision({.concurrent = 1})), 1);
  EXPECT_EQ(admit(decision({.concurrent = 3})), 0);
}

TEST(QuotaWait, IsReadFromQuotaErrorsAlone) {
  EXPECT_FALSE(quota_wait(Error{Error::Code::kInternal, "x; try again in 3 s"}));
  EXPECT_FALSE(quota_wait(Error{Error::Code::kResourceExhausted, "no cells"}));
  EXPECT_FALSE(quota_wait(Error{Error::Code::kResourceExhausted, "x; try again in 3 min"}));
  EXPECT_EQ(quota_wait(Error{Error::Code::kResourceExhausted, "x; try again in 3 s"}), 3s);
}

}  // namespace
}  // namespace skerry::agent
